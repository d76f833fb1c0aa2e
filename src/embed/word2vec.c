/*
 * word2vec.c: skip-gram and CBOW with negative sampling (Mikolov and others, "Distributed
 * representations of words and phrases and their compositionality", 2013).
 *
 * One step takes a middle item, the items around it and a few others drawn at random.
 * All pairs of a skip-gram window share these others, as Ji and others do ("Parallelizing
 * word2vec in shared and distributed memory", 2016): a window is then two small matrix
 * products over vectors in cache rather than hundreds of dot products over vectors in
 * main memory.  Only vectors of items that take part are read or written, so a step's
 * time does not depend on how many items there are.
 *
 * As in word2vec.c and gensim: the window reaches 1 .. window places, drawn anew for
 * every middle; frequent items leave sequences at random before windows are made;
 * others are drawn by count^0.75; in CBOW every item of the window takes the gradient of
 * the mean, not its share of it.
 *
 * A middle's numbers are drawn a block ahead, so that its vectors can be fetched while
 * the one before is worked on.
 */
#include "embed/word2vec.h"

#include <math.h>
#include <string.h>

#include "embed/pairs.h"
#include "nn/cpu.h"
#include "nn/kernel.h"
#include "nn/random.h"

/* Streams of random numbers by what they are for; epochs are added. */
#define STREAM_INIT ((uint64_t) 1 << 40)
#define STREAM_ORDER ((uint64_t) 2 << 40)
#define STREAM_WORDS ((uint64_t) 3 << 40)

/* Multiply-adds between two questions whether to stop: well under a millisecond. */
#define WORK_BETWEEN 1e6

/* ---- random words ---- */

static void
words_start(SlWords *words, uint64_t seed, uint64_t stream)
{
	*words = (SlWords){.seed = seed, .stream = stream, .at = 256};
}

static inline uint32_t
next_word(SlWords *words)
{
	if (words->at == 256)
	{
		sl_random_words(words->seed, words->stream, words->block, words->word, 256);
		words->block += 64;
		words->at = 0;
	}
	return words->word[words->at++];
}

static inline int
word_below(SlWords *words, int range)
{
	return (int) ((uint64_t) next_word(words) * (uint32_t) range >> 32);
}

/* ---- beginning ---- */

static void
set_keep(SlWord2vec *w)
{
	double total = 0;

	for (int i = 0; i < w->corpus.items; i++)
		total += (double) w->corpus.count[i];
	for (int i = 0; i < w->corpus.items; i++)
	{
		double share = (double) w->corpus.count[i] / total;
		double t = w->options.subsample;
		double chance = t > 0 ? (sqrt(share / t) + 1) * (t / share) : 1;

		w->keep[i] = chance >= 1 ? UINT32_MAX : (uint32_t) (chance * 4294967296.0);
	}
}

static void
set_vectors(SlWord2vec *w)
{
	int dim = w->options.dim;
	SlWords words;

	words_start(&words, w->options.seed, STREAM_INIT);
	memset(w->vector, 0, sizeof(float) * (size_t) w->corpus.items * w->width);
	memset(w->output, 0, sizeof(float) * (size_t) w->corpus.items * w->width);
	for (int i = 0; i < w->corpus.items; i++)
		for (int d = 0; d < dim; d++)
			w->vector[(size_t) i * w->width + d] =
				((float) (next_word(&words) >> 8) * 0x1p-24f - 0.5f) / (float) dim;
}

static SlStatus
build_noise(SlWord2vec *w, SlArena *arena)
{
	double *weight = sl_alloc(arena, w->corpus.items, sizeof(double));

	if (weight != NULL)
		for (int i = 0; i < w->corpus.items; i++)
			weight[i] = pow((double) w->corpus.count[i], w->options.noise_exponent);
	return sl_alias_build(&w->noise, w->corpus.items, weight, arena);
}

SlStatus
sl_word2vec_init(SlWord2vec *w, const SlCorpus *corpus, const SlWord2vecOptions *options,
				 SlArena *arena)
{
	size_t inputs = (size_t) 2 * options->window;
	size_t outputs = (size_t) options->negative + 1;
	SlStatus status;

	memset(w, 0, sizeof(*w));
	w->options = *options;
	w->corpus = *corpus;
	w->kept_count = -1;
	w->width = (options->dim + SL_PAIR_LANES - 1) / SL_PAIR_LANES * SL_PAIR_LANES;
	w->vector = sl_alloc(arena, corpus->items, sizeof(float) * w->width);
	w->output = sl_alloc(arena, corpus->items, sizeof(float) * w->width);
	w->keep = sl_alloc(arena, corpus->items, sizeof(uint32_t));
	w->order = sl_alloc(arena, corpus->sequences, sizeof(int));
	w->kept = sl_alloc(arena, corpus->longest, sizeof(int32_t));
	w->reach = sl_alloc(arena, SL_WORD2VEC_BLOCK, sizeof(int));
	w->negatives =
		sl_alloc(arena, (size_t) SL_WORD2VEC_BLOCK * options->negative, sizeof(int32_t));
	w->x = sl_alloc(arena, inputs, sizeof(float *));
	w->y = sl_alloc(arena, outputs, sizeof(float *));
	w->dot = sl_alloc(arena, inputs * outputs, sizeof(float));
	w->probability = sl_alloc(arena, inputs * outputs, sizeof(float));
	w->mean = sl_alloc(arena, 2 * (size_t) w->width, sizeof(float));
	w->scratch = sl_alloc(arena, outputs * w->width, sizeof(float));
	status = build_noise(w, arena);
	if (arena->base == NULL)
		return arena->used == SIZE_MAX ? SL_BAD_SHAPE : SL_OK;
	if (status != SL_OK)
		return status;
	set_keep(w);
	set_vectors(w);
	return SL_OK;
}

/* ---- one step ---- */

/*
 * From dot products to how far each pair is to be moved.  Returns the loss: the sum of
 * -log(sigmoid) of the pairs that are to be near and of -log(1 - sigmoid) of the others.
 * An other that happens to be the middle item is left out: its y is the middle's.
 */
static double
pair_steps(SlWord2vec *w, int inputs, float rate)
{
	int outputs = w->options.negative + 1;
	double loss = 0;

	sl_sigmoid((size_t) inputs * outputs, w->dot, w->probability);
	for (int i = 0; i < inputs; i++)
	{
		float *p = w->probability + (size_t) i * outputs;
		double product = p[0] < 1e-30f ? 1e-30f : p[0];

		p[0] = rate * (1 - p[0]);
		for (int j = 1; j < outputs; j++)
		{
			float miss = 1 - p[j];

			if (w->y[j] == w->y[0])
			{
				p[j] = 0;
				continue;
			}
			product *= miss < 6e-8f ? 6e-8f : miss;
			if (product < 1e-200)
			{
				loss -= log(product);
				product = 1;
			}
			p[j] *= -rate;
		}
		loss -= log(product);
	}
	return loss;
}

static void
skip_gram_step(SlWord2vec *w, int inputs, float rate)
{
	int outputs = w->options.negative + 1;

	sl_pairs_dots(inputs, w->x, outputs, w->y, w->width, w->dot);
	w->loss += pair_steps(w, inputs, rate);
	w->examples += inputs;
	sl_pairs_update(inputs, w->x, outputs, w->y, w->width, w->probability, w->scratch);
}

static void
cbow_step(SlWord2vec *w, int inputs, float rate)
{
	int outputs = w->options.negative + 1;
	float *mean = w->mean;
	float *moved = w->mean + w->width;

	sl_pairs_mean(inputs, w->x, w->width, mean);
	memcpy(moved, mean, sizeof(float) * w->width);
	sl_pairs_dots(1, &mean, outputs, w->y, w->width, w->dot);
	w->loss += pair_steps(w, 1, rate);
	w->examples++;
	sl_pairs_update(1, &moved, outputs, w->y, w->width, w->probability, w->scratch);
	for (int d = 0; d < w->width; d++)
		moved[d] -= mean[d];
	sl_pairs_add(inputs, w->x, w->width, moved);
}

void
sl_word2vec_step(SlWord2vec *w, const int32_t *sequence, int length, int middle,
				 int reach, const int32_t *negatives, float rate)
{
	int first = middle > reach ? middle - reach : 0;
	int last = length - 1 - middle > reach ? middle + reach : length - 1;
	int inputs = 0;

	for (int i = first; i <= last; i++)
		if (i != middle)
			w->x[inputs++] = w->vector + (size_t) sequence[i] * w->width;
	if (inputs == 0)
		return;
	w->y[0] = w->output + (size_t) sequence[middle] * w->width;
	for (int j = 0; j < w->options.negative; j++)
		w->y[j + 1] = w->output + (size_t) negatives[j] * w->width;
	if (w->options.method == SL_CBOW)
		cbow_step(w, inputs, rate);
	else
		skip_gram_step(w, inputs, rate);
	w->work += (double) inputs * (w->options.negative + 1) * w->width;
}

/* ---- an epoch ---- */

static bool
asked_to_stop(SlWord2vec *w, const SlStop *stop)
{
	if (w->work < WORK_BETWEEN)
		return false;
	w->work = 0;
	return sl_stopped(stop);
}

/* Copies what subsampling leaves of the running sequence; false: stopped. */
static bool
draw_sequence(SlWord2vec *w, const SlStop *stop)
{
	int s = w->order[w->sequence];
	int length = w->corpus.start[s + 1] - w->corpus.start[s];
	const int32_t *token = w->corpus.token + w->corpus.start[s];

	if (w->kept_count < 0)
		w->kept_count = w->copied = 0;
	while (w->copied < length)
	{
		int32_t item = token[w->copied++];

		if (w->keep[item] == UINT32_MAX || next_word(&w->words) < w->keep[item])
			w->kept[w->kept_count++] = item;
		w->work += 10;
		if (w->copied % 1024 == 0 && asked_to_stop(w, stop))
			return false;
	}
	w->at = 0;
	w->block = -SL_WORD2VEC_BLOCK;
	w->copied = length + 1; /* drawn */
	return true;
}

static void
draw_block(SlWord2vec *w)
{
	int end = w->kept_count - w->at;
	int k = w->options.negative;

	w->block = w->at;
	if (end > SL_WORD2VEC_BLOCK)
		end = SL_WORD2VEC_BLOCK;
	for (int i = 0; i < end; i++)
	{
		w->reach[i] = 1 + word_below(&w->words, w->options.window);
		for (int j = 0; j < k; j++)
		{
			uint32_t column = next_word(&w->words);

			w->negatives[i * k + j] =
				sl_alias_draw(&w->noise, column, next_word(&w->words));
		}
	}
}

static inline void
fetch(const float *vector, int width)
{
	for (int d = 0; d < width && d < 256; d += 16)
		__builtin_prefetch(vector + d, 1);
}

/* Of the next middle in the block, what is not in cache yet. */
static void
fetch_next(const SlWord2vec *w)
{
	int next = w->at + 1;
	int i = next - w->block;
	int k = w->options.negative;
	int entering = next + w->options.window;

	if (next >= w->kept_count || i >= SL_WORD2VEC_BLOCK)
		return;
	fetch(w->output + (size_t) w->kept[next] * w->width, w->width);
	for (int j = 0; j < k; j++)
		fetch(w->output + (size_t) w->negatives[i * k + j] * w->width, w->width);
	if (entering < w->kept_count)
		fetch(w->vector + (size_t) w->kept[entering] * w->width, w->width);
}

static float
rate_now(const SlWord2vec *w)
{
	double left = 1 - sl_word2vec_progress(w);

	return (float) (w->options.learning_rate * (left > 1e-4 ? left : 1e-4));
}

/* The running sequence from where it was left; false: stopped. */
static bool
train_sequence(SlWord2vec *w, const SlStop *stop)
{
	int s = w->order[w->sequence];
	int length = w->corpus.start[s + 1] - w->corpus.start[s];

	if (w->kept_count < 0 || w->copied <= length)
		if (!draw_sequence(w, stop))
			return false;
	while (w->at < w->kept_count && w->kept_count > 1)
	{
		int i;

		if (w->at >= w->block + SL_WORD2VEC_BLOCK || w->block < 0)
		{
			draw_block(w);
			w->rate = rate_now(w);
		}
		i = w->at - w->block;
		fetch_next(w);
		sl_word2vec_step(w, w->kept, w->kept_count, w->at, w->reach[i],
						 w->negatives + (size_t) i * w->options.negative, w->rate);
		w->at++;
		if (asked_to_stop(w, stop))
			return false;
	}
	w->tokens_done += length;
	w->work += 100;
	w->kept_count = -1;
	return true;
}

static void
begin_epoch(SlWord2vec *w)
{
	for (int s = 0; s < w->corpus.sequences; s++)
		w->order[s] = s;
	sl_random_shuffle(w->options.seed, STREAM_ORDER + w->epoch, w->order,
					  w->corpus.sequences);
	words_start(&w->words, w->options.seed, STREAM_WORDS + w->epoch);
	w->loss = 0;
	w->examples = 0;
}

SlStatus
sl_word2vec_check(const SlWord2vec *w)
{
	size_t n = (size_t) w->corpus.items * w->width;

	if (!isfinite(w->loss))
		return SL_NOT_FINITE;
	for (size_t i = 0; i < n; i++)
		if (!isfinite(w->vector[i]) || !isfinite(w->output[i]))
			return SL_NOT_FINITE;
	return SL_OK;
}

SlStatus
sl_word2vec_epoch(SlWord2vec *w, const SlStop *stop)
{
	uint64_t mode = sl_flush_denormals();
	bool stopped = false;

	if (w->sequence == 0 && w->kept_count < 0)
		begin_epoch(w);
	while (w->sequence < w->corpus.sequences && !stopped)
	{
		if (!train_sequence(w, stop))
			stopped = true;
		else
		{
			w->sequence++;
			stopped = asked_to_stop(w, stop);
		}
	}
	sl_restore_denormals(mode);
	if (stopped)
		return SL_STOPPED;
	w->epoch++;
	w->sequence = 0;
	return sl_word2vec_check(w);
}

double
sl_word2vec_progress(const SlWord2vec *w)
{
	double done = (double) w->tokens_done;

	if (w->kept_count > 1 && w->sequence < w->corpus.sequences)
	{
		int s = w->order[w->sequence];

		done += (double) w->at / w->kept_count *
				(w->corpus.start[s + 1] - w->corpus.start[s]);
	}
	return done / ((double) w->corpus.tokens * w->options.epochs);
}
