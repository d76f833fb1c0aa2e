/*
 * follow.h: what came after what: counts of pairs of neighbouring items, and where an
 * item stands among all that could come after another.
 */
#ifndef SL_FOLLOW_H
#define SL_FOLLOW_H

#include "store/store.h"

typedef struct SlFollow SlFollow;

/*
 * For items numbered from 1, the most popular first by the rows they have; both in the
 * current memory context.
 */
extern SlFollow *sl_follow_create(int items, const int64 *item_rows);

/* Counts one more time that next came right after item; from 1 both. */
extern void sl_follow_add(SlFollow *follow, int item, int next);

/* All pairs have been added; ranks can be asked for. */
extern void sl_follow_finish(SlFollow *follow);

/* Place of an item by popularity, from 1; as many rows: by number. */
extern int64 sl_follow_popularity(const SlFollow *follow, int item);

/*
 * Place of an item among those that came after previous (0: nothing known), from 1: by
 * how often, then by popularity; items that never did come after these, by popularity.
 */
extern int64 sl_follow_rank(const SlFollow *follow, int previous, int item);

#endif
