/*
 * share.h: training sets in memory that several processes have.  Plain C11.
 *
 * Each process lays such memory out with the same code, and has pointers of its own.
 */
#ifndef SL_SHARE_H
#define SL_SHARE_H

#include "train/trainer.h"

#define SL_ARITHMETIC_MAX (2 * SL_NAME_MAX)

/* What must be the same for the same bits, as text. */
extern void sl_share_arithmetic(char text[SL_ARITHMETIC_MAX]);

/*
 * A set like from with its arrays in arena, copied there or (fill false) found there: of
 * from only the sizes count then, and which arrays there are.  code has room for the
 * network's embeddings, and lives as long as the set.
 */
extern SlTrainSet sl_share_set(SlArena *arena, const SlTrainSet *from,
							   const SlNetSpec *spec, const int32_t **code, bool fill);

#endif
