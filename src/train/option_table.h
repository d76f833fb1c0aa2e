/*
 * option_table.h: what every option of train() is.  Only the files that read, write and
 * list options include it.
 */
#ifndef SL_OPTION_TABLE_H
#define SL_OPTION_TABLE_H

#include "train/options.h"

typedef enum SlTrainOptionKind
{
	OPT_STANDARDIZE = OPT_KINDS, /* true, false or "mixed" */
	OPT_HIDDEN,					 /* a number or an array of numbers, one a layer */
	OPT_LEVELS,					 /* quantiles */
	OPT_COLUMNS,				 /* object: column -> preprocessing */
	OPT_BY_CLUSTER,				 /* object: cluster -> options */
	OPT_SPLIT,
	OPT_SEARCH,
	OPT_HORIZON, /* a number or "half" */
	OPT_LIST,	 /* array of texts */
	OPT_TEXT
} SlTrainOptionKind;

extern const SlOption sl_train_options[];

extern SlOptionReader sl_train_option_read;

/* Appends "key": value, unless the option has no place in stored options. */
extern void sl_train_option_write(StringInfo out, const SlOptions *options,
								  const SlOption *option);

#endif
