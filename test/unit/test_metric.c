/*
 * test_metric.c: the arithmetic of the metrics on hand-made numbers, and the serial
 * form of kept rows against bytes that nobody of ours wrote.
 */
#include "metric/metric.h"
#include "tap.h"

static void
test_sums(void)
{
	SlSum s = {0, 0}, left = {0, 0}, right = {0, 0};

	sl_sum_add(&s, 1.0);
	sl_sum_add(&s, 1e100);
	sl_sum_add(&s, 1.0);
	sl_sum_add(&s, -1e100);
	is_close(sl_sum_value(&s), 2.0, 0, "a sum keeps what a double would lose");

	s = (SlSum){0, 0};
	for (int i = 0; i < 100000; i++)
	{
		sl_sum_add(&s, 0.1 * i);
		sl_sum_add(i % 3 == 0 ? &left : &right, 0.1 * i);
	}
	sl_sum_merge(&left, &right);
	is_close(sl_sum_value(&left), sl_sum_value(&s), 0,
			 "split and merged, the same total");
}

static void
test_log_loss(void)
{
	is_close(sl_log_loss(true, 0.25), log(4.0), 1e-15, "log loss of a quarter");
	is_close(sl_log_loss(false, 0.25), -log(0.75), 1e-15, "log loss of the rest");
	is_close(sl_log_loss(true, 0.0), -log(1e-15), 1e-12, "an impossible event happened");
	/* 1 - 1e-15 is no double: its neighbour is */
	is_close(sl_log_loss(false, 1.0), -log(1e-15), 1e-3, "a certain event did not");
	is_close(sl_log_loss(true, 1.0), 1e-15, 1e-18, "certainty costs the clip");
	is_close(sl_log_loss(false, 0.0), 1e-15, 1e-20, "and so it does for the other class");
	is_close(sl_log_loss(false, 1e-10) / 1e-10, 1.0, 1e-9, "a small p keeps its digits");
}

static void
test_median(void)
{
	double five[] = {1, 2, 3, 4, 100};
	double huge[] = {1.6e308, 1.7e308};

	is_close(sl_median(five, 5), 3.0, 0, "median of five");
	is_close(sl_median(five, 4), 2.5, 0, "median of four");
	is_close(sl_median(five, 1), 1.0, 0, "median of one");
	is_close(sl_median(huge, 2) / 1.65e308, 1.0, 1e-15,
			 "a mean of two does not overflow");
}

static void
test_auc(void)
{
	double auc = -1;
	/* 0.1- 0.35+ 0.4- 0.8+: three of the four pairs are in order */
	double four[] = {sl_score(0, 0.1), sl_score(1, 0.35), sl_score(0, 0.4),
					 sl_score(1, 0.8)};
	double tied[] = {sl_score(1, 0.0), sl_score(0, 0.0), sl_score(1, 0.0)};
	double same[] = {sl_score(1, 0.2), sl_score(1, 0.3)};

	ok(sl_auc(four, 4, &auc) && auc == 0.75, "three pairs of four");
	ok(sl_auc(tied, 3, &auc) && auc == 0.5, "ties count half, also at probability 0");
	ok(!sl_auc(same, 2, &auc), "one class has no AUC");
}

static void
test_average_accuracy(void)
{
	SlPosition rows[] = {{-7, 1}, {0, 0}, {3, 1}, {9, 1}};
	SlPosition twice[] = {{1, 1}, {4, 0}, {4, 1}};
	int64_t duplicate = 0;
	double aa = -1;

	ok(sl_average_accuracy(rows, 4, &aa, &duplicate), "positions may have gaps");
	is_close(aa, (1.0 + 2.0 / 3 + 3.0 / 4) / 4, 1e-15, "right, wrong, right, right");
	ok(sl_average_accuracy(rows + 1, 1, &aa, &duplicate) && aa == 0, "never right");
	ok(!sl_average_accuracy(twice, 3, &aa, &duplicate), "a position that comes twice");
	is_int(duplicate, 4, "is named");
}

/* Parse and decode; what is wrong, or NULL. */
static const char *
read_serial(const unsigned char *bytes, size_t size)
{
	SlValueKind kind;
	size_t n;
	const char *wrong = sl_values_parse(bytes, size, &kind, &n);
	uint64_t *words;

	if (wrong != NULL)
		return wrong;
	/* exactly what the rows take, so that one word too many is seen */
	words = malloc(n * sl_values_words(kind) * sizeof(uint64_t) + (n == 0));
	wrong = sl_values_decode(bytes, kind, n, words);
	free(words);
	return wrong;
}

static void
test_serial_form(void)
{
	double scores[3] = {sl_score(1, 0.25), sl_score(0, 0.5), sl_score(1, 1.0)};
	SlPosition rows[2] = {{INT64_MIN, 1}, {INT64_MAX, 0}};
	uint64_t words[4], back[4];
	unsigned char bytes[64];
	SlValueKind kind;
	size_t n;

	memcpy(words, scores, sizeof(scores));
	is_int(sl_values_serial_size(SL_VALUES_SCORE, 3), 40, "size of three scores");
	sl_values_encode(SL_VALUES_SCORE, 3, words, bytes);
	ok(bytes[0] == SL_VALUES_VERSION && bytes[15] == 3 && bytes[16] == 0xbf,
	   "version, count and doubles in network order");
	ok(sl_values_parse(bytes, 40, &kind, &n) == NULL && kind == SL_VALUES_SCORE && n == 3,
	   "header of scores");
	ok(sl_values_decode(bytes, kind, n, back) == NULL &&
		   memcmp(back, words, sizeof(scores)) == 0,
	   "scores come back");

	memcpy(words, rows, sizeof(rows));
	sl_values_encode(SL_VALUES_POSITION, 2, words, bytes);
	ok(sl_values_parse(bytes, 48, &kind, &n) == NULL && kind == SL_VALUES_POSITION &&
		   n == 2 && sl_values_decode(bytes, kind, n, back) == NULL &&
		   memcmp(back, words, sizeof(rows)) == 0,
	   "positions come back");
	sl_values_encode(SL_VALUES_ERROR, 0, words, bytes);
	ok(read_serial(bytes, SL_VALUES_HEADER) == NULL, "no rows");
	is_int(sl_values_serial_size(SL_VALUES_POSITION, SIZE_MAX / 8), 0,
		   "overflow is seen");
}

static void
test_hostile_bytes(void)
{
	double errors[2] = {0.5, 2.0};
	uint64_t words[2];
	unsigned char good[32], bad[33] = {0};
	uint64_t state = 42;
	int accepted = 0;

	memcpy(words, errors, sizeof(errors));
	sl_values_encode(SL_VALUES_ERROR, 2, words, good);
	ok(read_serial(good, 32) == NULL, "a sound form is taken");
	ok(read_serial(good, 0) && read_serial(good, 15), "short of its header");
	memcpy(bad, good, 32);
	ok(read_serial(good, 24) && read_serial(bad, 33), "too short and too long");

#define BROKEN(at, value, ...)                         \
	do                                                 \
	{                                                  \
		memcpy(bad, good, 32);                         \
		bad[at] = (value);                             \
		ok(read_serial(bad, 32) != NULL, __VA_ARGS__); \
	} while (0)

	BROKEN(0, 2, "version 2");
	BROKEN(1, 0, "kind 0");
	BROKEN(1, 4, "kind 4");
	BROKEN(1, SL_VALUES_POSITION, "two words that are not two positions");
	BROKEN(1, SL_VALUES_SCORE, "2.0 is not a probability");
	BROKEN(5, 1, "a reserved byte");
	BROKEN(8, 0x20, "a count that overflows when multiplied");
	BROKEN(15, 3, "a count beyond the bytes");
	BROKEN(16, 0xbf, "a negative error");
	memcpy(bad, good, 32);
	bad[16] = 0x7f;
	bad[17] = 0xf8;
	ok(read_serial(bad, 32) != NULL, "NaN");
	bad[17] = 0xf0;
	memset(bad + 18, 0, 6);
	ok(read_serial(bad, 32) != NULL, "infinity");

	/* random damage: nothing may be read or written out of bounds */
	for (int round = 0; round < 200000; round++)
	{
		size_t size;

		memcpy(bad, good, 32);
		for (int hits = 0; hits < 3; hits++)
		{
			state = state * 6364136223846793005u + 1442695040888963407u;
			bad[(state >> 33) % 32] = (unsigned char) (state >> 56);
		}
		size = (state >> 20) % 4 == 0 ? (state >> 40) % 33 : 32;
		accepted += read_serial(bad, size) == NULL;
	}
	ok(accepted > 0 && accepted < 200000, "damage was survived, %d forms passed",
	   accepted);
}

int
main(void)
{
	test_sums();
	test_log_loss();
	test_median();
	test_auc();
	test_average_accuracy();
	test_serial_form();
	test_hostile_bytes();
	return done_testing();
}
