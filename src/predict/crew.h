/*
 * crew.h: groups of sequences, run by this process and by background workers.
 *
 * What is predicted does not depend on who runs a group, or on whether anybody helps.
 */
#ifndef SL_CREW_H
#define SL_CREW_H

#include "predict/runner.h"

typedef struct SlCrew SlCrew;

/* For so many networks of a model: that of all users, then the clusters'.  In the current
 * memory context; nobody is called yet. */
extern SlCrew *sl_crew_create(int networks, const SlModel *model,
							  SlRunner *const *runner);

/*
 * Offers groups of a network's sequences to all, and returns; so many rows.  Copies what
 * they are made of, out excepted.  False if the caller has to run them itself: there is
 * too little work to start anybody, no memory, or a buffer that is larger than all
 * before.  What was offered before must be finished.
 */
extern bool sl_crew_offer(SlCrew *crew, int network, int rows, const SlGroups *groups,
						  const SlRows *of);

/* Takes part in what was offered until all of it is done; out receives the outputs. */
extern void sl_crew_finish(SlCrew *crew, float *out);

extern void sl_crew_end(SlCrew *crew);

#endif
