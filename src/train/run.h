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
	int number;	 /* among the runs of a search */
	int cluster; /* SL_NO_CLUSTER: the network of all users, which makes the version */
	const SlModel *base; /* the network a warm start goes on from, or NULL */
	const char *label;	 /* names it in progress lines, beside others; NULL: none */
	bool
		may_diverge; /* then the version is removed, and diverged set, without an error */
	bool diverged;
	SlNet *net;
	SlTrainPlan plan;
	Size work; /* memory of a training by one process */
	SlTrainState state;
	SlTrainResult result;
	SlWorkers *workers; /* NULL: alone */
	double last_check;
	double last_notice;
	double seconds_per_epoch;
} SlRun;

/* Network and plan: first of all. */
extern void sl_run_define(SlRun *run);

/* Trains and stores. */
extern void sl_run(SlRun *run, Size limit);

/* Its parts, for a caller that trains otherwise: state (run->state's arrays are there)
 * and version; errors for a status that no run may end with; storing the result. */
extern void sl_run_begin(SlRun *run);
extern void sl_run_check(SlStatus status);
extern void sl_run_end(SlRun *run, SlStatus status);

/* Hooks of a training; arg is the run, and of the others not used. */
extern void sl_run_step(void *arg, const SlProgress *progress);
extern void sl_run_epoch(void *arg, const SlEpoch *epoch);
extern bool sl_run_should_stop(void *arg);

/* Of training on so many rows; look-ups take none, nor items that are not scored. */
extern double sl_run_operations(const SlRun *run, double rows);

/* How many processes a step of it is worth, and in *reason why not as many as were asked
 * for. */
extern int sl_run_processes(const SlRun *run, char **reason);

/* Gives run->state the weights it starts from: those of its base, or new ones. */
extern void sl_run_start(SlRun *run);

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
