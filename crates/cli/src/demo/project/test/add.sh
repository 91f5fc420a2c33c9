# A note is kept, with all its words.
sh notes add buy some milk
sh notes list | grep -q "buy some milk"
