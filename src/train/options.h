/*
 * options.h: the options of train(), read from jsonb through one table that also
 * validates, lists and documents them.
 */
#ifndef SL_OPTIONS_H
#define SL_OPTIONS_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "model/model.h"
#include "nn/loss.h"
#include "nn/optim.h"
#include "option.h"
#include "train/split.h"
#include "train/trainer.h"

typedef enum SlModelTask
{
	SL_TASK_REGRESSION,
	SL_TASK_BINARY,	   /* the target is 0 or 1, the prediction its probability */
	SL_TASK_SKIP,	   /* binary, in future rows only; past targets are inputs */
	SL_TASK_NEXT_ITEMS /* which item a row has */
} SlModelTask;

/* By number; NULL past the end. */
extern const char *sl_task_name(int task);

/* option horizon: the first half of a sequence's rows, rounded down, is past */
#define SL_HORIZON_HALF (-1)

/* How past skips enter. */
typedef enum SlPastSkips
{
	SL_PAST_SKIPS_COLUMN,
	SL_PAST_SKIPS_TOKEN,
	SL_PAST_SKIPS_BOTH,
	SL_PAST_SKIPS_NONE
} SlPastSkips;

typedef enum SlTargetTransform
{
	SL_TARGET_NONE,
	SL_TARGET_LOG1P,
	SL_TARGET_STANDARDIZE
} SlTargetTransform;

extern const char *sl_target_transform_name(int kind);

/* Losses defined on the target's own scale, from 1 up: mape and weibull. */
extern bool sl_loss_is_scaled(int loss);

typedef struct SlOptions
{
	SlModelTask task; /* not an option: it decides what options may be */

	int architecture;
	int layers;
	int hidden[SL_MAX_LAYERS];
	int cell; /* SlCell */
	bool bidirectional;
	double dropout;
	double recurrent_dropout;

	int batch_size;
	int sequence_length;
	int horizon; /* last rows of a sequence that are predicted, 0: all are, or
					SL_HORIZON_HALF */
	int epochs;
	double time_limit; /* seconds, 0: none */
	int patience;	   /* epochs, 0: no early stopping */
	bool shuffle;

	int loss;
	bool loss_by_items; /* not given: the number of items decides */
	int negatives;
	double teacher_forcing;
	int quantiles;
	double quantile[SL_MAX_QUANTILES];
	int optimizer;
	double learning_rate;
	int schedule;
	int warmup; /* steps */
	double clip_norm;
	double weight_decay;

	bool standardize;
	bool mixed; /* standardize "mixed": by the cluster's size */
	int mixed_threshold;
	int min_users;
	Jsonb *by_cluster; /* cluster -> options of its own, NULL: none given */
	int target_transform;
	double upper_percentile;
	int min_count;
	int past_skips;		 /* SlPastSkips */
	List *item_features; /* char *, columns */
	bool item_features_trained;
	char *pretrained; /* NULL: none */
	Jsonb *columns;	  /* NULL: none given */
	SlSplit split;

	int64 seed;
	int init;
	int workers; /* 0: as many as make sense */
	bool warm_start;
	bool verbose;
} SlOptions;

/*
 * Reads given over the defaults of the task; then over, the keys one combination of a
 * search sets (or NULL).  Errors name the key and list the valid ones.
 */
extern void sl_options_read(SlOptions *options, SlModelTask task, Jsonb *given,
							Jsonb *over);

/* Fills in what depends on other options and refuses what does not go together. */
extern void sl_options_settle(SlOptions *options, Jsonb *given, Jsonb *over);

/* Settles what depends on the number of items. */
extern void sl_options_for_items(SlOptions *options, int items);

extern const SlArch *sl_options_arch(const SlOptions *options);

/* Whether both cut sequences into past and future alike, and want the same inputs. */
extern bool sl_options_same_sequences(const SlOptions *a, const SlOptions *b);

/* Whether both give the target the same transform. */
extern bool sl_options_same_target(const SlOptions *a, const SlOptions *b);

/* Decides what "standardize": "mixed" means for a network of that many users. */
extern void sl_options_for_size(SlOptions *options, Jsonb *given, Jsonb *over, int users);

/* All options as a jsonb text, for the stored version. */
extern char *sl_options_text(const SlOptions *options);

/* Whether runs with different values of an option can share one preparation of the data;
 * an unknown option is an error. */
extern bool sl_option_is_searchable(const char *key);

/* The combinations of {"search": {...}} as a list of Jsonb *, NIL when there is none. */
extern List *sl_options_search(Jsonb *given);

/* Reads a split object, as in options and as stored. */
extern void sl_split_read(SlSplit *split, JsonbContainer *object);
extern char *sl_split_text(const SlSplit *split);

#endif
