/* The folder STATE/program: found, guarded by locks, cleared of what nobody runs from. Trouble ends the program. */
#pragma once
#include <stdbool.h>

/* Opens it, made if it is not there; returns its path. `is_server`: the command is `serve`. */
char *open_program_folder(bool is_server, int *fd);

/* Takes the turn to look, unpack and remove; it is given back by closing what is returned. */
int lock_program_folder(int program, const char *path);

/* Says of one of its folders that this process runs from it, whatever it becomes, to its end. Children do not. */
void hold(int folder, const char *path);

bool remove_tree(int parent, const char *name);

/* Removes all of this program's but `current` that no process runs from: other versions, damaged copies, what killed
 * starts have left. What is not called as one of these stays. */
void remove_leftovers(int program, const char *path, const char *current);
