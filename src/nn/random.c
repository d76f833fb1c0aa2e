/*
 * random.c: Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 *
 * It is a small block cipher: the key is the seed, the 128-bit plain text is (block,
 * stream), and the cipher text is four random words.  There is no state to carry, so
 * any number can be computed by anyone in any order, two streams never overlap, and a
 * batch of blocks vectorises.  It passes TestU01's BigCrush; the test program checks it
 * against the authors' known answers.
 */
#include "nn/random.h"

#include <math.h>
#include <string.h>

#include "nn/cpu.h"

#define MULTIPLIER0 0xD2511F53u
#define MULTIPLIER1 0xCD9E8D57u
#define WEYL0 0x9E3779B9u
#define WEYL1 0xBB67AE85u
#define ROUNDS 10

/* Blocks computed side by side, one per vector lane. */
#define LANES 32

/* The cipher on one block.  High and low half of each product are written as products
 * of their own: vectorisers have an instruction for either. */
static inline __attribute__((always_inline)) void
philox(uint64_t seed, uint64_t stream, uint64_t block, uint32_t *w0, uint32_t *w1,
	   uint32_t *w2, uint32_t *w3)
{
	uint32_t c0 = (uint32_t) block, c1 = (uint32_t) (block >> 32);
	uint32_t c2 = (uint32_t) stream, c3 = (uint32_t) (stream >> 32);
	uint32_t key0 = (uint32_t) seed, key1 = (uint32_t) (seed >> 32);

	for (uint32_t round = 0; round < ROUNDS; round++)
	{
		uint32_t high0 = (uint32_t) ((uint64_t) MULTIPLIER0 * c0 >> 32);
		uint32_t high1 = (uint32_t) ((uint64_t) MULTIPLIER1 * c2 >> 32);
		uint32_t low0 = MULTIPLIER0 * c0, low1 = MULTIPLIER1 * c2;

		c0 = high1 ^ c1 ^ (key0 + round * WEYL0);
		c1 = low1;
		c2 = high0 ^ c3 ^ (key1 + round * WEYL1);
		c3 = low0;
	}
	*w0 = c0;
	*w1 = c1;
	*w2 = c2;
	*w3 = c3;
}

void
sl_random_block(uint64_t seed, uint64_t stream, uint64_t block, uint32_t out[4])
{
	philox(seed, stream, block, &out[0], &out[1], &out[2], &out[3]);
}

SL_CLONES void
sl_random_words(uint64_t seed, uint64_t stream, uint64_t block, uint32_t *out, size_t n)
{
	uint32_t w0[LANES], w1[LANES], w2[LANES], w3[LANES], last[4];
	size_t blocks = n / 4;

	for (size_t first = 0; first < blocks; first += LANES)
	{
		int count = blocks - first < LANES ? (int) (blocks - first) : LANES;
		int whole = (count + 15) & ~15; /* only whole vectors are fast */

		for (int i = 0; i < whole; i++)
			philox(seed, stream, block + first + i, &w0[i], &w1[i], &w2[i], &w3[i]);
		for (int i = 0; i < count; i++)
		{
			uint32_t *four = out + 4 * (first + i);

			four[0] = w0[i];
			four[1] = w1[i];
			four[2] = w2[i];
			four[3] = w3[i];
		}
	}
	if (n % 4 > 0)
	{
		sl_random_block(seed, stream, block + blocks, last);
		memcpy(out + 4 * blocks, last, n % 4 * sizeof(uint32_t));
	}
}

uint64_t
sl_random_bits(uint64_t seed, uint64_t stream, uint64_t counter)
{
	uint32_t word[4];
	int half = 2 * (int) (counter & 1);

	sl_random_block(seed, stream, counter >> 1, word);
	return (uint64_t) word[half + 1] << 32 | word[half];
}

double
sl_random_uniform(uint64_t seed, uint64_t stream, uint64_t counter)
{
	return (double) (sl_random_bits(seed, stream, counter) >> 11) * 0x1p-53;
}

/* Box and Muller's transform of one block, the radius from (0, 1] so that its
 * logarithm is finite. */
double
sl_random_normal(uint64_t seed, uint64_t stream, uint64_t counter)
{
	uint32_t word[4];

	sl_random_block(seed, stream, counter, word);

	uint64_t first = (uint64_t) word[1] << 32 | word[0];
	uint64_t second = (uint64_t) word[3] << 32 | word[2];
	double radius = sqrt(-2 * log((double) ((first >> 11) + 1) * 0x1p-53));

	return radius * cos(2 * 3.14159265358979323846 * (double) (second >> 11) * 0x1p-53);
}

/* Uniform in 0 .. range - 1, without the bias of a remainder (Lemire, "Fast random
 * integer generation in an interval", 2019). */
static uint32_t
random_below(uint64_t seed, uint64_t stream, uint64_t *counter, uint32_t range)
{
	uint32_t rejected = -range % range; /* 2^32 mod range */

	for (;;)
	{
		uint32_t word = (uint32_t) (sl_random_bits(seed, stream, (*counter)++) >> 32);
		uint64_t product = (uint64_t) word * range;

		if ((uint32_t) product >= rejected)
			return (uint32_t) (product >> 32);
	}
}

void
sl_random_shuffle(uint64_t seed, uint64_t stream, int *index, int n)
{
	uint64_t counter = 0;

	for (int i = n - 1; i > 0; i--)
	{
		int j = (int) random_below(seed, stream, &counter, (uint32_t) i + 1);
		int swap = index[i];

		index[i] = index[j];
		index[j] = swap;
	}
}
