/*
 * prepare.h: from a training source to what the trainer takes: inputs fitted on training
 * rows, features, scaled targets, weights, baselines.
 */
#ifndef SL_PREPARE_H
#define SL_PREPARE_H

#include "store/store.h"
#include "train/rows.h"

/* The arguments of train() but the options. */
typedef struct SlTrainCall
{
	char *model;
	char *source;
	char *target;
	char *partition_by;
	char *order_by;
	char *censored; /* NULL: none */
	char *task;
	int count; /* input columns, all roles */
	char **names;
	SlRole *roles;
} SlTrainCall;

typedef struct SlPrepared
{
	SlInputs *inputs;
	SlTrainSet set;
	SlSplit split;
	int64 part_rows[3]; /* with a known target */
	double start_value; /* median of the transformed training target */
	char **keys;		/* of sequences */
	int64 *key_rows;	/* baselines by key: training rows, mean, median */
	double *key_mean;
	double *key_median;
	int keys_with_rows;
	int64 all_rows;
	double all_mean;
	double all_median;
	Size bytes; /* of memory it holds */
} SlPrepared;

/* Reads and prepares; base is the version a warm start goes on from, or NULL. */
extern SlPrepared *sl_prepare(const SlTrainCall *call, const SlOptions *options,
							  const SlModel *base, Size limit);

#endif
