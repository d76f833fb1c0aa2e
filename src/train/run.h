/*
 * run.h: training one network and storing it.
 */
#ifndef SL_RUN_H
#define SL_RUN_H

#include "train/prepare.h"

typedef struct SlRun
{
	const SlTrainCall *call;
	const SlOptions *options;
	const SlTrainSource *source;
	const SlPrepared *prepared;
	int version;
	int cluster; /* SL_NO_CLUSTER: the network of all users, which makes the version */
	SlNet *net;
	SlTrainPlan plan;
	SlTrainState state;
	SlTrainResult result;
	double last_notice;
	double seconds_per_epoch;
} SlRun;

/* Trains and stores; base is the network a warm start goes on from, or NULL. */
extern void sl_run(SlRun *run, const SlModel *base, Size limit);

/*
 * After the network of all users: one for each cluster of call->clusters that has enough
 * users.  Adds to whole's result the rows and seconds they took.
 */
extern void sl_train_clusters(SlRun *whole, Jsonb *given, const SlModel *base, Size limit);

/* Sequences with training rows, among those with keep[s] (NULL: all). */
extern int sl_training_users(const SlRows *rows, const bool *keep);

#endif
