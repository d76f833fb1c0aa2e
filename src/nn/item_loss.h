/*
 * item_loss.h: losses of networks that predict which of many items comes: a head with a
 * row for each item, and its gradient, in memory that does not grow with rows x items.
 */
#ifndef SL_ITEM_LOSS_H
#define SL_ITEM_LOSS_H

#include "nn/loss.h"
#include "nn/nn.h"
#include "nn/sampler.h"

/* GRU4Rec's default. */
#define SL_BPR_MAX_REGULARIZATION 1.0f

/*
 * Score of item j in a row: r_j = h W_j' + b_j.  Of a row whose item is i, with negatives
 * N drawn for all rows alike (those equal to i do not count), the loss is
 *
 *   cross_entropy    -r_i + log sum over all items of exp r_j
 *   sampled_softmax  -r_i + log(exp r_i + sum over N of exp(r_j - log(n q_j))), where q_j
 *                    is the probability with which each of the n negatives is drawn: the
 *                    sum's expectation is the exact one (Bengio and Senecal 2008; Blanc
 *                    and Rendle 2018)
 *   bpr_max          -log sum over N of s_j sigmoid(r_i - r_j)
 *                      + regularization * sum over N of s_j r_j^2
 *   top1_max         sum over N of s_j (sigmoid(r_j - r_i) + sigmoid(r_j^2))
 *
 * where s_j = exp r_j / sum over N of exp r_k (Hidasi and Karatzoglou 2018).
 */
typedef struct SlItemLoss
{
	SlLossKind kind;
	int negatives;			  /* not for cross_entropy */
	float regularization;	  /* bpr_max */
	const SlSampler *sampler; /* of the negatives; while counting it may be NULL */
	const int32_t *given;	  /* [negatives], to be taken instead of drawing; or NULL */
} SlItemLoss;

typedef struct SlItemTarget
{
	const int32_t *item; /* [rows], -1: none */
	const float *weight; /* [rows], 0: not counted; NULL: all 1 */
	int weight_param;	 /* W [items x cols of h] and b [items], tables */
	int bias_param;
	uint64_t key; /* names the negatives */
} SlItemTarget;

/*
 * Sum over rows of weight times loss, given hidden states h.  If the tape keeps
 * gradients, h->grad receives scale times the gradient, zeros in rows that do not count,
 * and the head's is added to the tape's.  Scratch comes from the tape's arena, so call it
 * while counting too.  Errors are the tape's: SL_BAD_SHAPE for an item that is not in the
 * head.
 */
extern double sl_item_loss(const SlItemLoss *loss, SlTape *tape, SlTensor *h,
						   const SlItemTarget *target, float scale);

#endif
