# An empty list is no error, and every note is shown.
sh notes list
sh notes add buy milk
sh notes add call mum
sh notes list | grep -q "buy milk"
sh notes list | grep -q "call mum"
