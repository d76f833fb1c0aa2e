/*
 * option.h: the options of a function: a JSON object, read into a struct through a table
 * that says what each option is.
 */
#ifndef SL_OPTION_H
#define SL_OPTION_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

typedef enum SlOptionKind
{
	OPT_INT,
	OPT_INT64,
	OPT_REAL,
	OPT_BOOL,
	OPT_NAME, /* one of a list of names, kept as its index */
	OPT_KINDS /* the first kind that a table may have for itself */
} SlOptionKind;

typedef struct SlOption
{
	const char *key; /* NULL ends the table */
	int kind;
	size_t offset; /* in the struct */
	double min;
	double max;
	const char *(*name)(int); /* OPT_NAME; NULL past the end */
	const char *fallback;	  /* default, as JSON text, for a list */
	const char *meaning;
} SlOption;

#define SL_OPTION_FIELD(type, options, option) \
	((type *) ((char *) (options) + (option)->offset))

/* An unknown key is an error that lists the valid ones. */
extern const SlOption *sl_option_find(const SlOption *table, const char *key);

/* The values of an option of kind OPT_NAME, with commas. */
extern char *sl_option_names(const SlOption *option);

/* A number in [min, max], whole if asked. */
extern double sl_option_number(const char *key, const JsonbValue *value, double min,
							   double max, bool whole);

/* Raises the error for an option of the wrong JSON type. */
extern _Noreturn void sl_option_wrong_type(const char *key, const char *wanted,
										   const JsonbValue *value);

/* Sets the option to a JSON value, or raises the error that it does not fit. */
typedef void SlOptionReader(void *options, const SlOption *option,
							const JsonbValue *value);

/* For the kinds of every table. */
extern SlOptionReader sl_option_read;

/* Reads the object over what options holds; null leaves that. */
extern void sl_options_read_object(void *options, const SlOption *table, Jsonb *given,
								   SlOptionReader *read, const char *example);

/* Appends "key": value, for the kinds of every table. */
extern void sl_option_write(StringInfo out, const void *options, const SlOption *option);

/* All options of a table that has no kinds of its own. */
extern Jsonb *sl_options_json(const void *options, const SlOption *table);

#endif
