/*
 * store.h: models in tables.  All functions need a connected SPI and run with the
 * caller's rights; row-level security decides what they see.
 */
#ifndef SL_STORE_H
#define SL_STORE_H

#include "utils/uuid.h"

#include "train/input.h"
#include "train/options.h"
#include "train/trainer.h"

/* A stored version, ready to predict. */
typedef struct SlModel
{
	char *model;
	int version;
	pg_uuid_t id;
	char *source;
	char *target; /* the item column, if items are predicted */
	char *partition_by;
	char *order_by;
	char *censored; /* NULL: none */
	char *blas;
	SlOptions options;
	SlSplit split;
	SlInputs *inputs;
	SlTarget scale;
	SlLoss loss;
	SlNet net;
	float *value; /* [net.params.total] */
	/* of value, as products read it: once for all passes; NULL: each packs for itself */
	const SlPackedWeight *packed;

	/* Networks of clusters, if it has any; all but the source is theirs. */
	int cluster; /* SL_NO_CLUSTER: the network of all users */
	int clusters;
	struct SlModel **network; /* [clusters] */
	SlVocabulary *members;	  /* partition keys with a network */
	int *member_network;	  /* by the key's code: index into network */
} SlModel;

#define SL_NO_CLUSTER (-1)

/* The network that serves a partition key: its cluster's, or that of all users. */
extern const SlModel *sl_model_for_key(const SlModel *model, const char *key);

/* The version that serves (version 0) or the one asked for: its number and id.  An error
 * if there is none that the caller may see. */
extern void sl_store_lookup(const char *model, int *version, pg_uuid_t *id);

/* Loads a version whole, everything in the current memory context.  Whatever does not
 * fit together is a data-corrupted error. */
extern SlModel *sl_store_load(const char *model, int version);

/* Locks the model's name against other trainings, creates it if it is new, checks that
 * the caller owns it, and returns the next version number.  The row itself stays free for
 * deploy() while training runs; sl_store_deploy() takes note of the numbers used. */
extern int sl_store_begin(const char *model);

typedef struct SlVersionRow
{
	const char *model;
	int version;
	const char *source;
	const char *target;
	const char *partition_by;
	const char *order_by;
	const char *censored; /* or NULL */
	const SlOptions *options;
	const SlInputs *inputs;
	const SlTarget *scale;
	const SlSplit *split;
	int64 part_rows[3];
	int64 sequences;
} SlVersionRow;

extern void sl_store_version(const SlVersionRow *row);
extern void sl_store_epoch(const char *model, int version, int cluster,
						   const SlEpoch *epoch);
/* Takes them all back. */
extern void sl_store_forget_epochs(const char *model, int version, int cluster);
extern void sl_store_result(const char *model, int version, const SlTrainResult *result,
							bool stopped_early);
/* A cluster's network; row->part_rows, sequences, options, inputs and scale are its own.
 */
extern void sl_store_network(const SlVersionRow *row, int cluster,
							 const SlTrainResult *result);
extern void sl_store_members(const char *model, int version, int cluster, int count,
							 char **keys);
/* item_rows: training rows of each item, NULL without an item column. */
extern void sl_store_vocabularies(const char *model, int version, const SlInputs *inputs,
								  const int64 *item_rows);
extern void sl_store_weights(const char *model, int version, int cluster,
							 const SlParams *params, const float *value);
/* The optimiser's state for the network of all users; checkpoints of older versions are
 * removed. */
extern void sl_store_checkpoint(const char *model, int version, const SlTrainState *state,
								int moments, size_t total);
/* Loads it if it is of this size; false if there is none. */
extern bool sl_store_load_checkpoint(const char *model, int version, SlTrainState *state,
									 int moments, size_t total);
/* keys NULL: the row over all keys. */
extern void sl_store_baselines(const char *model, int version, int count, char **keys,
							   const int64 *rows, const double *mean,
							   const double *median);
/* Lets one of the versions just stored serve. */
extern void sl_store_deploy(const char *model, int version);

/* Removes a version that is not done after all, with all that was stored of it. */
extern void sl_store_remove(const char *model, int version);

/* "OpenBLAS 0.3.21 (Zen)" */
extern char *sl_store_blas(void);

/* The loss and the network's shape that options and inputs ask for; items: of the
 * vocabulary, 0 without an item column. */
extern void sl_loss_from_options(SlLoss *loss, const SlOptions *options, int items);
extern void sl_net_from_options(SlNet *net, const SlOptions *options,
								const SlInputs *inputs, const SlLoss *loss);

#endif
