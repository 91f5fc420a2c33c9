# Where notes are kept: one on each line.
store_add() {
    printf '%s\n' "$1" >>"$file"
}

store_list() {
    if [ -f "$file" ]; then cat "$file"; fi
}
