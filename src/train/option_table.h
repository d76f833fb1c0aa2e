/*
 * option_table.h: what every option of train() is: name, type, range, default, meaning.
 * Only the files that read, write and list options include it.
 */
#ifndef SL_OPTION_TABLE_H
#define SL_OPTION_TABLE_H

#include "train/options.h"

typedef enum SlOptionKind
{
	OPT_INT,
	OPT_INT64,
	OPT_REAL,
	OPT_BOOL,
	OPT_STANDARDIZE, /* true, false or "mixed" */
	OPT_NAME,		 /* one of a list of names, kept as its index */
	OPT_HIDDEN,		 /* a number or an array of numbers, one a layer */
	OPT_LEVELS,		 /* quantiles */
	OPT_COLUMNS,	 /* object: column -> preprocessing */
	OPT_BY_CLUSTER,	 /* object: cluster -> options */
	OPT_SPLIT,
	OPT_SEARCH,
	OPT_HORIZON, /* a number or "half" */
	OPT_LIST,	 /* array of texts */
	OPT_TEXT
} SlOptionKind;

typedef struct SlOption
{
	const char *key;
	SlOptionKind kind;
	size_t offset;
	double min;
	double max;
	const char *(*name)(int); /* OPT_NAME */
	const char *fallback;	  /* default, as JSON text, for the list */
	const char *meaning;
} SlOption;

/* By number; NULL past the end. */
extern const SlOption *sl_option(int i);

/* By key; an unknown one is an error that lists the valid ones. */
extern const SlOption *sl_option_find(const char *key);

/* The values of an option of kind OPT_NAME, with commas. */
extern char *sl_option_names(const SlOption *option);

#define SL_OPTION_FIELD(type, options, option) \
	((type *) ((char *) (options) + (option)->offset))

/* Sets the option to a JSON value, or raises the error that it does not fit. */
extern void sl_option_read(SlOptions *options, const SlOption *option,
						   const JsonbValue *value);

/* Appends "key": value, unless the option has no place in stored options. */
extern void sl_option_write(StringInfo out, const SlOptions *options,
							const SlOption *option);

#endif
