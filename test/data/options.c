/*
 * options.c: see options.h.
 */
#define _GNU_SOURCE /* program_invocation_short_name, strptime, timegm */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "options.h"

double
sl_number_option(const char *name, const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= least && value <= most))
	{
		fprintf(stderr, "%s: --%s: not a number from %g to %g: \"%s\"\n",
				program_invocation_short_name, name, least, most, text);
		exit(2);
	}
	return value;
}

int64_t
sl_date_option(const char *text)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%d", &tm);

	if (!end || *end != '\0' || tm.tm_year < 70)
	{
		fprintf(stderr, "%s: --start: not a date since 1970-01-01: \"%s\"\n",
				program_invocation_short_name, text);
		exit(2);
	}
	return (int64_t) timegm(&tm);
}

FILE *
sl_open_output(const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");

	if (!file)
	{
		perror(path);
		exit(1);
	}
	return file;
}

void
sl_close_output(FILE *file)
{
	if (file &&
		(fflush(file) != 0 || ferror(file) || (file != stdout && fclose(file) != 0)))
	{
		fprintf(stderr, "%s: could not write: %s\n", program_invocation_short_name,
				strerror(errno));
		exit(1);
	}
}
