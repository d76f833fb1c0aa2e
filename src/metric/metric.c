/*
 * metric.c: the arithmetic of the metric aggregates.
 *
 * Nothing here allocates or reports; arrays come in sorted and results go out.  The
 * serial form of a state that keeps its rows is
 *
 *		byte 0		version
 *		byte 1		kind
 *		bytes 2-7	zero
 *		bytes 8-15	number of rows
 *		then		the rows, in 64-bit words
 *
 * with integers and the bits of doubles in network byte order, so that it also
 * travels between machines.  Decoding trusts none of it.
 */
#include "metric/metric.h"

#include <string.h>

double
sl_log_loss(bool y, double p)
{
	p = fmin(fmax(p, SL_LOG_LOSS_CLIP), 1.0 - SL_LOG_LOSS_CLIP);
	/* log1p, for 1 - p would lose the digits of a small p */
	return y ? -log(p) : -log1p(-p);
}

double
sl_median(const double *values, size_t n)
{
	double low = values[(n - 1) / 2];
	double high = values[n / 2];

	/* by their difference: the sum of two large errors may overflow */
	return low + (high - low) / 2;
}

/*
 * The chance that a positive outranks a negative, ties counting half: the same as
 * the Mann-Whitney statistic with mid-ranks.
 */
bool
sl_auc(const double *scores, size_t n, double *auc)
{
	SlSum wins = {0, 0};
	size_t negatives = 0;
	size_t positives = 0;

	for (size_t i = 0; i < n;)
	{
		double p = fabs(scores[i]);
		size_t tied_positives = 0;
		size_t tied_negatives = 0;

		for (; i < n && fabs(scores[i]) == p; i++)
		{
			if (signbit(scores[i]))
				tied_positives++;
			else
				tied_negatives++;
		}
		sl_sum_add(&wins, (double) tied_positives *
							  ((double) negatives + 0.5 * (double) tied_negatives));
		negatives += tied_negatives;
		positives += tied_positives;
	}
	if (negatives == 0 || positives == 0)
		return false;
	*auc = sl_sum_value(&wins) / ((double) negatives * (double) positives);
	return true;
}

bool
sl_average_accuracy(const SlPosition *rows, size_t n, double *result, int64_t *duplicate)
{
	SlSum sum = {0, 0};
	size_t right = 0;

	for (size_t i = 0; i < n; i++)
	{
		if (i > 0 && rows[i].position == rows[i - 1].position)
		{
			*duplicate = rows[i].position;
			return false;
		}
		if (rows[i].right)
		{
			right++;
			sl_sum_add(&sum, (double) right / (double) (i + 1));
		}
	}
	*result = sl_sum_value(&sum) / (double) n;
	return true;
}

size_t
sl_values_words(SlValueKind kind)
{
	return kind == SL_VALUES_POSITION ? sizeof(SlPosition) / sizeof(uint64_t) : 1;
}

size_t
sl_values_serial_size(SlValueKind kind, size_t n)
{
	size_t width = sl_values_words(kind) * sizeof(uint64_t);

	if (n > (SIZE_MAX - SL_VALUES_HEADER) / width)
		return 0;
	return SL_VALUES_HEADER + n * width;
}

static void
put_word(unsigned char *bytes, uint64_t word)
{
	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char) (word >> (56 - 8 * i));
}

static uint64_t
get_word(const unsigned char *bytes)
{
	uint64_t word = 0;

	for (int i = 0; i < 8; i++)
		word = word << 8 | bytes[i];
	return word;
}

void
sl_values_encode(SlValueKind kind, size_t n, const uint64_t *words, unsigned char *bytes)
{
	size_t count = n * sl_values_words(kind);

	memset(bytes, 0, SL_VALUES_HEADER);
	bytes[0] = SL_VALUES_VERSION;
	bytes[1] = (unsigned char) kind;
	put_word(bytes + 8, n);
	for (size_t i = 0; i < count; i++)
		put_word(bytes + SL_VALUES_HEADER + 8 * i, words[i]);
}

const char *
sl_values_parse(const unsigned char *bytes, size_t size, SlValueKind *kind, size_t *n)
{
	uint64_t count;

	if (size < SL_VALUES_HEADER)
		return "It is shorter than its header.";
	if (bytes[0] != SL_VALUES_VERSION)
		return "Its version is unknown.";
	if (bytes[1] < SL_VALUES_ERROR || bytes[1] > SL_VALUES_POSITION)
		return "Its kind is unknown.";
	for (int i = 2; i < 8; i++)
		if (bytes[i] != 0)
			return "Its reserved bytes are not zero.";
	count = get_word(bytes + 8);
	*kind = (SlValueKind) bytes[1];
	if (count > SIZE_MAX || sl_values_serial_size(*kind, (size_t) count) != size)
		return "Its length does not fit its number of rows.";
	*n = (size_t) count;
	return NULL;
}

/* What is wrong with one decoded row; NULL if nothing. */
static const char *
check_row(SlValueKind kind, const uint64_t *words)
{
	double value;

	if (kind == SL_VALUES_POSITION)
		return words[1] > 1 ? "A row is neither right nor wrong." : NULL;
	memcpy(&value, words, sizeof(value));
	if (kind == SL_VALUES_SCORE)
		return fabs(value) <= 1.0 ? NULL : "A score is not a probability.";
	return isfinite(value) && value >= 0.0 ? NULL : "A row is not an absolute error.";
}

const char *
sl_values_decode(const unsigned char *bytes, SlValueKind kind, size_t n, uint64_t *words)
{
	size_t width = sl_values_words(kind);

	for (size_t row = 0; row < n; row++)
	{
		const char *wrong;

		for (size_t i = row * width; i < (row + 1) * width; i++)
			words[i] = get_word(bytes + SL_VALUES_HEADER + 8 * i);
		wrong = check_row(kind, words + row * width);
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}
