# Writes the man pages of the command into a folder, as it tells them itself:
#     cmake -D PIER=build/dev/cli/pier -D FOLDER=build/dev/man1 -P cmake/man.cmake
# PIER may be a list: what runs the programs of another machine, then the command.
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})
execute_process(COMMAND ${PIER} --complete help "" OUTPUT_VARIABLE verbs COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n\t]+\t" verbs "${verbs}")
execute_process(COMMAND ${PIER} --man OUTPUT_FILE ${FOLDER}/pier.1 COMMAND_ERROR_IS_FATAL ANY)
foreach(verb IN LISTS verbs)
  string(STRIP "${verb}" verb)
  execute_process(COMMAND ${PIER} --man ${verb} OUTPUT_FILE ${FOLDER}/pier-${verb}.1
    COMMAND_ERROR_IS_FATAL ANY)
endforeach()
