/*
 * options.h: values of options and files to write, as the programs that invent logs take
 * them.  What can't be used ends the program with a word about it.
 */
#ifndef SL_OPTIONS_H
#define SL_OPTIONS_H

#include <stdint.h>
#include <stdio.h>

/* A number from least to most. */
double sl_number_option(const char *name, const char *text, double least, double most);

/* The date of --start, in seconds since 1970. */
int64_t sl_date_option(const char *text);

/* "-" is the standard output. */
FILE *sl_open_output(const char *path);

/* Does nothing to NULL, a file not asked for. */
void sl_close_output(FILE *file);

#endif
