/*
 * side.h: networks trained side by side, each by one process.
 */
#ifndef SL_SIDE_H
#define SL_SIDE_H

#include "train/run.h"

/*
 * Networks that may be trained at once.  A caller defines runs, adds them until one does
 * not fit, trains those there are, and stores what else it keeps of each of them.
 */
typedef struct SlSide
{
	int processes; /* 1: one network after the other */
	Size limit;	   /* of memory */
	SlRun **run;
	int count;
	int room;
	double seconds;	  /* out, of sl_side_train() */
	bool out_of_time; /* likewise */
} SlSide;

/* For so many networks, of which first is one or, with clusters, the one of all users. */
extern SlSide *sl_side_begin(const SlRun *first, int networks, Size limit);

/* Whether the run fits beside those there are; one alone always does. */
extern bool sl_side_add(SlSide *side, SlRun *run);

/*
 * Trains and stores all in their order, and empties the side: side->run[0 .. returned
 * count - 1] are done.  time_limit: of all together, 0: each has its own.
 */
extern int sl_side_train(SlSide *side, double time_limit);

#endif
