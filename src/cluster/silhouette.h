/*
 * silhouette.h: how well each point sits in its cluster (Rousseeuw, 1987).
 */
#ifndef SL_SILHOUETTE_H
#define SL_SILHOUETTE_H

#include "cluster/cluster.h"

/*
 * out[i] = (b - a) / max(a, b): a is the mean distance to the others of its own cluster,
 * b the least mean distance to those of another; 0 for a point alone in its cluster.
 * Labels are 0 .. k - 1; at least two of them are in use.  Time grows with the square of
 * count.
 */
extern SlStatus sl_silhouette(const SlPoints *points, const int32_t *label, int k,
							  const SlStop *stop, SlArena *work, double *out);

#endif
