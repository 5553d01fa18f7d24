# SPDX-License-Identifier: MIT
# bash completion for pier: asks the command what may come next. See cli/complete.c.

_pier()
{
    local line=${COMP_LINE:0:COMP_POINT} words=() files=no i word head begin

    # bash has cut words at ":" and "="; what no blank parts is one word of pier's.
    for ((i = 0; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        begin=${line%%"$word"*}
        line=${line#*"$word"}
        if [[ $i -gt 0 && -z $begin ]]; then words[-1]+=$word; else words+=("$word"); fi
    done
    word=${line#"${line%%[![:space:]]*}"}
    if [[ $word == "$line" ]]; then words[-1]+=$word; else words+=("$word"); fi

    # What lies before the last cut stays, and is not to be said again.
    head=${words[-1]}
    while [[ -n $head && $COMP_WORDBREAKS != *"${head: -1}"* ]]; do head=${head%?}; done

    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        if [[ $word == @* ]]; then
            files=yes begin=${word#@}
        else
            COMPREPLY+=("${word#"$head"}")
        fi
    done < <(command pier --complete "${words[@]:1}" 2>/dev/null)

    if [[ $files == yes && -n $begin && $COMP_WORDBREAKS != *"${begin: -1}"* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -P "$begin" -- "${words[-1]#"$begin"}")
        compopt -o filenames 2>/dev/null
    elif [[ $files == yes ]]; then
        compopt -o default 2>/dev/null # readline's own: it knows quotes and ~
    elif [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

complete -F _pier pier
