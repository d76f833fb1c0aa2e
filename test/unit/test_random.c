/*
 * test_random.c: the generator against its authors' known answers, and statistics that
 * would show a wrong rotation, a dropped word or correlated streams.  Everything is a
 * function of fixed seeds, so a bound is met always or never.
 */
#include "nn/random.h"
#include "tap.h"

/* Random123's kat_vectors for philox4x32 with 10 rounds: counter, key, answer. */
static void
test_known_answers(void)
{
	static const struct
	{
		uint64_t block, stream, seed;
		uint32_t want[4];
	} kat[] = {
		{0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{UINT64_MAX,
		 UINT64_MAX,
		 UINT64_MAX,
		 {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{0x85a308d3243f6a88,
		 0x0370734413198a2e,
		 0x299f31d0a4093822,
		 {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	};

	for (int i = 0; i < 3; i++)
	{
		uint32_t got[4];

		sl_random_block(kat[i].seed, kat[i].stream, kat[i].block, got);
		ok(memcmp(got, kat[i].want, sizeof(got)) == 0, "known answer %d", i + 1);
	}
}

static void
test_views(void)
{
	uint32_t word[203];
	bool same = true;

	sl_random_words(7, 11, 0, word, 203);
	for (int c = 0; 2 * c + 1 < 203; c++)
		same &=
			sl_random_bits(7, 11, c) == ((uint64_t) word[2 * c + 1] << 32 | word[2 * c]);
	ok(same, "words are the halves of bits");

	uint32_t block[4];

	sl_random_block(7, 11, 50, block);
	ok(memcmp(block, word + 200, 3 * sizeof(uint32_t)) == 0, "words are blocks in order");
	ok(sl_random_bits(7, 11, 5) != sl_random_bits(8, 11, 5) &&
		   sl_random_bits(7, 11, 5) != sl_random_bits(7, 12, 5) &&
		   sl_random_bits(7, 11, 5) != sl_random_bits(7, 11, 6),
	   "seed, stream and counter all matter");
	sl_random_words(1, 1, 0, NULL, 0);

	for (size_t n = 0; n < 160; n++)
	{
		uint32_t part[160] = {0};

		sl_random_words(7, 11, 9, part, n);
		same &= memcmp(part, word + 36, n * sizeof(uint32_t)) == 0 && part[n] == 0;
	}
	ok(same, "any number of words from any block, and no more");
}

/* Mean, variance, lag-1 and cross-stream correlation of n numbers. */
typedef struct Moments
{
	double mean, variance, serial, streams;
} Moments;

static Moments
moments(double (*draw)(uint64_t, uint64_t, uint64_t), int n)
{
	double sum = 0, square = 0, serial = 0, streams = 0, previous = draw(3, 1, n);

	for (int i = 0; i < n; i++)
	{
		double x = draw(3, 1, i), other = draw(3, 2, i);

		sum += x;
		square += x * x;
		serial += x * previous;
		streams += x * other;
		previous = x;
	}

	double mean = sum / n, variance = square / n - mean * mean;

	return (Moments){mean, variance, (serial / n - mean * mean) / variance,
					 (streams / n - mean * mean) / variance};
}

static void
test_moments(void)
{
	int n = 200000;
	double error = 4 / sqrt(n); /* four standard errors of a unit-variance mean */
	Moments u = moments(sl_random_uniform, n);
	Moments z = moments(sl_random_normal, n);

	is_close(u.mean, 0.5, error * sqrt(1.0 / 12), "uniform: mean");
	is_close(u.variance, 1.0 / 12, error * sqrt(1.0 / 180), "uniform: variance");
	is_close(u.serial, 0, error, "uniform: successive numbers do not correlate");
	is_close(u.streams, 0, 2 * error, "uniform: neighbouring streams do not correlate");
	is_close(z.mean, 0, error, "normal: mean");
	is_close(z.variance, 1, error * sqrt(2.0), "normal: variance");
	is_close(z.serial, 0, error, "normal: successive numbers do not correlate");
	is_close(z.streams, 0, error, "normal: neighbouring streams do not correlate");

	bool range = true, finite = true;
	double cube = 0, fourth = 0;

	for (int i = 0; i < n; i++)
	{
		double x = sl_random_uniform(9, 9, i), y = sl_random_normal(9, 9, i);

		range &= x >= 0 && x < 1;
		finite &= isfinite(y);
		cube += y * y * y / n;
		fourth += y * y * y * y / n;
	}
	ok(range && finite, "uniform in [0, 1), normal finite");
	is_close(cube, 0, error * sqrt(15.0), "normal: skewness");
	is_close(fourth, 3, error * sqrt(96.0), "normal: kurtosis");
}

/* Chi-square of counts against equal shares, as a number of standard deviations. */
static double
chi_square(const int *count, int cells, double expected)
{
	double chi = 0;

	for (int i = 0; i < cells; i++)
		chi += (count[i] - expected) * (count[i] - expected) / expected;
	return (chi - (cells - 1)) / sqrt(2.0 * (cells - 1));
}

static void
test_uniformity(void)
{
	static int bit[64], high[256], low[256], pair[256];
	int n = 131072;

	for (int i = 0; i < n; i++)
	{
		uint64_t x = sl_random_bits(1234, 5, i);

		for (int b = 0; b < 64; b++)
			bit[b] += x >> b & 1;
		high[x >> 56]++;
		low[x & 255]++;
		/* the same counter in streams 5 and 6: low-entropy keys must not show */
		pair[(x >> 60) << 4 | sl_random_bits(1234, 6, i) >> 60]++;
	}

	double worst = 0;

	for (int b = 0; b < 64; b++)
		worst = fmax(worst, fabs(bit[b] - n / 2.0) / sqrt(n / 4.0));
	ok(worst < 4, "every bit is balanced (worst %.2f standard deviations)", worst);
	is_close(chi_square(high, 256, n / 256.0), 0, 4, "high byte: chi-square");
	is_close(chi_square(low, 256, n / 256.0), 0, 4, "low byte: chi-square");
	is_close(chi_square(pair, 256, n / 256.0), 0, 4, "pairs of streams: chi-square");
}

/* One changed input bit flips half of the output bits. */
static void
test_avalanche(void)
{
	double flips[3] = {0};

	for (int i = 0; i < 1000; i++)
		for (int b = 0; b < 62; b++)
		{
			uint64_t bit = (uint64_t) 1 << b, x = sl_random_bits(i, i, i);

			flips[0] += __builtin_popcountll(x ^ sl_random_bits(i ^ bit, i, i));
			flips[1] += __builtin_popcountll(x ^ sl_random_bits(i, i ^ bit, i));
			flips[2] += __builtin_popcountll(x ^ sl_random_bits(i, i, i ^ bit));
		}
	is_close(flips[0] / 62000, 32, 0.1, "avalanche: seed");
	is_close(flips[1] / 62000, 32, 0.1, "avalanche: stream");
	is_close(flips[2] / 62000, 32, 0.1, "avalanche: counter");
}

static void
test_shuffle(void)
{
	static int order[24], where[7][7];
	int index[100], again[100], seen[100] = {0};
	bool permutation = true;

	for (int i = 0; i < 100; i++)
		index[i] = again[i] = i;
	sl_random_shuffle(5, 6, index, 100);
	sl_random_shuffle(5, 6, again, 100);
	for (int i = 0; i < 100; i++)
		seen[index[i]]++;
	for (int i = 0; i < 100; i++)
		permutation &= seen[i] == 1;
	ok(permutation, "a shuffle is a permutation");
	ok(memcmp(index, again, sizeof(index)) == 0, "the same seed gives the same order");
	sl_random_shuffle(5, 7, again, 100);
	sl_random_shuffle(5, 7, index, 0);
	sl_random_shuffle(5, 7, index, 1);

	for (int s = 0; s < 24000; s++)
	{
		int four[4] = {0, 1, 2, 3}, seven[7] = {0, 1, 2, 3, 4, 5, 6}, code = 0;

		sl_random_shuffle(s, 1, four, 4);
		for (int i = 0; i < 4; i++)
		{
			int smaller = 0;

			for (int j = i + 1; j < 4; j++)
				smaller += four[j] < four[i];
			code = code * (4 - i) + smaller;
		}
		order[code]++;
		sl_random_shuffle(s, 2, seven, 7);
		for (int i = 0; i < 7; i++)
			where[i][seven[i]]++;
	}
	is_close(chi_square(order, 24, 1000), 0, 4, "all 24 orders of four are as frequent");
	for (int i = 0; i < 7; i++)
		is_close(chi_square(where[i], 7, 24000 / 7.0), 0, 4,
				 "place %d of seven receives each as often", i);
}

int
main(void)
{
	test_known_answers();
	test_views();
	test_moments();
	test_uniformity();
	test_avalanche();
	test_shuffle();
	return done_testing();
}
