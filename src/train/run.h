/*
 * run.h: training one network and storing it.
 */
#ifndef SL_RUN_H
#define SL_RUN_H

#include "train/prepare.h"
#include "train/workers.h"

typedef struct SlRun
{
	const SlTrainCall *call;
	const SlOptions *options;
	const SlTrainSource *source;
	const SlPrepared *prepared;
	int version;
	int cluster; /* SL_NO_CLUSTER: the network of all users, which makes the version */
	bool
		may_diverge; /* then the version is removed, and diverged set, without an error */
	bool diverged;
	SlNet *net;
	SlTrainPlan plan;
	SlTrainState state;
	SlTrainResult result;
	SlWorkers *workers; /* NULL: alone */
	double last_check;
	double last_notice;
	double seconds_per_epoch;
} SlRun;

/* Trains and stores; base is the network a warm start goes on from, or NULL. */
extern void sl_run(SlRun *run, const SlModel *base, Size limit);

/* Gives run->state the weights it starts from: those of base, or new ones. */
extern void sl_run_start(SlRun *run, const SlModel *base);

/* Memory aligned for arenas. */
extern void *sl_run_aligned(Size bytes);

/* Which sequences are in which cluster. */
typedef struct SlClusters
{
	int count;
	int *cluster; /* of each sequence, SL_NO_CLUSTER: none */
} SlClusters;

/* Reads call->clusters, and checks the options given for single clusters. */
extern SlClusters *sl_clusters_read(const SlTrainCall *call, const SlRows *rows,
									const SlOptions *options, Jsonb *given);

/*
 * After the network of all users: one for each cluster that has enough users.  Adds to
 * whole's result the rows and seconds they took.
 */
extern void sl_train_clusters(SlRun *whole, const SlClusters *clusters, Jsonb *given,
							  const SlModel *base, Size limit);

/* Sequences with training rows, among those with keep[s] (NULL: all). */
extern int sl_training_users(const SlRows *rows, const bool *keep);

#endif
