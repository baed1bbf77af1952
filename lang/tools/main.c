/* main.c: the command qa.  Everything is in cli.c and the verb_*.c files. */
#include "lang/tools/cli.h"

int main(int argc, char **argv) { return cli_main(argc, argv); }
