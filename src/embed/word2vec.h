/*
 * word2vec.h: skip-gram and CBOW with negative sampling over sequences of items.
 */
#ifndef SL_WORD2VEC_H
#define SL_WORD2VEC_H

#include "cluster/cluster.h"
#include "embed/alias.h"

typedef enum SlWord2vecMethod
{
	SL_SKIP_GRAM, /* each item of the window against the item in its middle */
	SL_CBOW		  /* their mean against it */
} SlWord2vecMethod;

typedef struct SlWord2vecOptions
{
	int method; /* SlWord2vecMethod */
	int dim;
	int window; /* items to each side at most */
	int negative;
	int epochs;
	double learning_rate; /* falls linearly to a ten-thousandth */
	double subsample;	  /* 0: none */
	double noise_exponent;
	uint64_t seed;
} SlWord2vecOptions;

/* Sequences of items 0 .. items - 1, at least two of each. */
typedef struct SlCorpus
{
	int items;
	int sequences;
	int tokens;
	int longest;		  /* length of the longest sequence */
	const int *start;	  /* [sequences + 1] */
	const int32_t *token; /* [tokens] */
	const int64_t *count; /* [items], above 0 */
} SlCorpus;

/* Numbers drawn ahead; see word2vec.c. */
#define SL_WORD2VEC_BLOCK 64

typedef struct SlWords
{
	uint64_t seed;
	uint64_t stream;
	uint64_t block;
	int at;
	uint32_t word[256];
} SlWords;

typedef struct SlWord2vec
{
	SlWord2vecOptions options;
	SlCorpus corpus;
	int width;	   /* floats from one vector to the next */
	float *vector; /* [items x width]: the result */
	float *output; /* [items x width] */
	SlAlias noise;
	uint32_t *keep; /* [items] chance to stay in a sequence, out of 2^32 */

	/* where training is */
	int epoch; /* from 0 */
	int sequence;
	int *order;			/* [sequences] in this epoch */
	int32_t *kept;		/* [longest] the running sequence after subsampling */
	int kept_count;		/* -1: not drawn yet */
	int copied;			/* tokens of it looked at */
	int at;				/* next middle */
	int block;			/* first middle of the block drawn */
	int *reach;			/* [SL_WORD2VEC_BLOCK] window of each middle */
	int32_t *negatives; /* [SL_WORD2VEC_BLOCK x negative] */
	SlWords words;
	float rate;			 /* of the block */
	int64_t tokens_done; /* of sequences finished, over all epochs */
	double work;		 /* since should_stop was asked */

	/* of the running or last epoch */
	double loss;
	int64_t examples; /* what loss was summed over: pairs, with CBOW middles */

	/* scratch of one step */
	float **x;
	float **y;
	float *dot;
	float *probability;
	float *mean;
	float *scratch;
} SlWord2vec;

/* Takes memory (the arena may count), and sets first vectors. */
extern SlStatus sl_word2vec_init(SlWord2vec *w, const SlCorpus *corpus,
								 const SlWord2vecOptions *options, SlArena *arena);

/*
 * Trains up to the end of the running epoch.  When should_stop says so it returns
 * SL_STOPPED, and called again goes on where it was.  SL_NOT_FINITE: the vectors are
 * lost.
 */
extern SlStatus sl_word2vec_epoch(SlWord2vec *w, const SlStop *stop);

/* SL_NOT_FINITE if a vector is. For training that is left before an epoch ends. */
extern SlStatus sl_word2vec_check(const SlWord2vec *w);

/* Share of all epochs that is done, 0 to 1. */
extern double sl_word2vec_progress(const SlWord2vec *w);

/* One step at learning rate: the item at place middle of sequence against the items at
 * most reach places away and against options.negative others.  For tests. */
extern void sl_word2vec_step(SlWord2vec *w, const int32_t *sequence, int length,
							 int middle, int reach, const int32_t *negatives, float rate);

#endif
