store_add "$*"
