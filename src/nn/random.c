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

#include "nn/cpu.h"

/* Blocks computed side by side, one per vector lane. */
#define LANES 16

static const uint32_t philox_multiplier[2] = {0xD2511F53, 0xCD9E8D57};
static const uint32_t philox_weyl[2] = {0x9E3779B9, 0xBB67AE85};

/* The cipher's ten rounds on count (at most LANES) consecutive blocks. */
static inline void
philox(uint64_t seed, uint64_t stream, uint64_t block, int count, uint32_t out[4][LANES])
{
	uint32_t key[2] = {(uint32_t) seed, (uint32_t) (seed >> 32)};

	for (int i = 0; i < count; i++)
	{
		out[0][i] = (uint32_t) (block + i);
		out[1][i] = (uint32_t) ((block + i) >> 32);
		out[2][i] = (uint32_t) stream;
		out[3][i] = (uint32_t) (stream >> 32);
	}
	for (int round = 0; round < 10; round++)
	{
		for (int i = 0; i < count; i++)
		{
			uint64_t a = (uint64_t) philox_multiplier[0] * out[0][i];
			uint64_t b = (uint64_t) philox_multiplier[1] * out[2][i];

			out[0][i] = (uint32_t) (b >> 32) ^ out[1][i] ^ key[0];
			out[1][i] = (uint32_t) b;
			out[2][i] = (uint32_t) (a >> 32) ^ out[3][i] ^ key[1];
			out[3][i] = (uint32_t) a;
		}
		key[0] += philox_weyl[0];
		key[1] += philox_weyl[1];
	}
}

void
sl_random_block(uint64_t seed, uint64_t stream, uint64_t block, uint32_t out[4])
{
	uint32_t lane[4][LANES];

	philox(seed, stream, block, 1, lane);
	for (int j = 0; j < 4; j++)
		out[j] = lane[j][0];
}

SL_CLONES void
sl_random_words(uint64_t seed, uint64_t stream, uint32_t *out, size_t n)
{
	uint32_t lane[4][LANES];

	for (size_t done = 0; done < n; done += 4 * LANES)
	{
		size_t want = n - done < 4 * LANES ? n - done : 4 * LANES;

		philox(seed, stream, done / 4, LANES, lane);
		for (size_t i = 0; i < want; i++)
			out[done + i] = lane[i % 4][i / 4];
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
