# SPDX-License-Identifier: MIT
# fish completion for pier: asks the command what may come next. See cli/complete.c.

function __pier_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    for line in (command pier --complete $words[2..] "$word" 2>/dev/null)
        if not string match -q -- '@*' $line
            printf '%s\n' $line
            continue
        end
        set -l begin (string sub -s 2 -- $line)
        set -l name (string sub -s (math (string length -- "$begin") + 1) -- $word)
        for file in (__fish_complete_path "$name")
            printf '%s\n' "$begin$file"
        end
    end
end

complete -c pier -f -a '(__pier_complete)'
