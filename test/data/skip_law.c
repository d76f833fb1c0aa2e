/*
 * skip_law.c: the law of the generated skips and its exact predictor; see skip_law.h.
 */
#include "skip_law.h"

#include <math.h>
#include <string.h>

/* ---- the law ---- */

/*
 * Listening and restless differ in level alone: the skips so far tell them.  Lively and
 * calm want opposite tracks: the skips tell them only beside the tracks' features.
 * Levels are such that about half of all plays are skipped.
 */
void
sl_skip_law_default(SlSkipLaw *law)
{
	*law = (SlSkipLaw){
		.start = {0.26, 0.24, 0.25, 0.25},
		.move = {{0.97, 0.01, 0.01, 0.01},
				 {0.01, 0.97, 0.01, 0.01},
				 {0.01, 0.01, 0.97, 0.01},
				 {0.01, 0.01, 0.01, 0.97}},
		.base = {-2.2, 2.2, 0.0, 0.0},
		.effect = {{0.0, 0.0, 0.0, 0.0},
				   {0.0, 0.0, 0.0, 0.0},
				   {-9.0, -5.0, 5.0, -5.0},
				   {9.0, 5.0, -5.0, 5.0}},
	};
}

int
sl_first_half(int length)
{
	return length / 2;
}

void
sl_skip_chance(const SlSkipLaw *law, const double feature[SL_TASTES], double appeal,
			   SlChance *chance)
{
	for (int m = 0; m < SL_MOODS; m++)
	{
		double logit = law->base[m] + appeal;

		for (int f = 0; f < SL_TASTES; f++)
			logit += law->effect[m][f] * (feature[f] - 0.5);
		chance->skip[m] = 1.0 / (1.0 + exp(-logit));
	}
}

/* ---- the filter ---- */

static void
move_on(const SlSkipLaw *law, double mood[SL_MOODS])
{
	double next[SL_MOODS] = {0};

	for (int from = 0; from < SL_MOODS; from++)
		for (int to = 0; to < SL_MOODS; to++)
			next[to] += mood[from] * law->move[from][to];
	memcpy(mood, next, sizeof(next));
}

void
sl_mood_start(const SlSkipLaw *law, SlMoodBelief *belief)
{
	memcpy(belief->mood, law->start, sizeof(law->start));
}

void
sl_mood_observe(const SlSkipLaw *law, SlMoodBelief *belief, const SlChance *chance,
				bool skipped)
{
	double sum = 0.0;

	for (int m = 0; m < SL_MOODS; m++)
	{
		belief->mood[m] *= skipped ? chance->skip[m] : 1.0 - chance->skip[m];
		sum += belief->mood[m];
	}
	for (int m = 0; m < SL_MOODS; m++)
		belief->mood[m] /= sum;
	move_on(law, belief->mood);
}

/* ---- the forecast ---- */

static double
weighted(const double mood[SL_MOODS], const SlChance *chance)
{
	double sum = 0.0;

	for (int m = 0; m < SL_MOODS; m++)
		sum += mood[m] * chance->skip[m];
	return sum;
}

void
sl_skip_forecast(const SlSkipLaw *law, const SlMoodBelief *belief, int positions,
				 const SlChance *chance, SlSkipForecast *forecast)
{
	double mood[SL_MOODS];

	memcpy(mood, belief->mood, sizeof(mood));
	forecast->positions = positions;
	for (int i = 0; i < positions; i++)
	{
		double skipped[SL_MOODS]; /* P(mood, skip at i), moved on to j */

		forecast->skip[i] = forecast->both[i][i] = weighted(mood, &chance[i]);
		for (int m = 0; m < SL_MOODS; m++)
			skipped[m] = mood[m] * chance[i].skip[m];
		for (int j = i + 1; j < positions; j++)
		{
			move_on(law, skipped);
			forecast->both[i][j] = forecast->both[j][i] = weighted(skipped, &chance[j]);
		}
		move_on(law, mood);
	}
}

/* ---- answers ---- */

/* P(the answer is right at i and at j). */
static double
both_right(const SlSkipForecast *forecast, unsigned answer, int i, int j)
{
	double both = forecast->both[i][j];
	bool skip_i = answer >> i & 1;
	bool skip_j = answer >> j & 1;

	if (skip_i && skip_j)
		return both;
	if (skip_i)
		return forecast->skip[i] - both;
	if (skip_j)
		return forecast->skip[j] - both;
	return 1.0 - forecast->skip[i] - forecast->skip[j] + both;
}

/* E[L_i A(i)]: what position i adds, which depends on the answers up to it. */
static double
term(const SlSkipForecast *forecast, unsigned answer, int i)
{
	double skip = forecast->skip[i];
	double sum = answer >> i & 1 ? skip : 1.0 - skip;

	for (int j = 0; j < i; j++)
		sum += both_right(forecast, answer, i, j);
	return sum / (i + 1);
}

double
sl_expected_aa(const SlSkipForecast *forecast, unsigned answer)
{
	double sum = 0.0;

	for (int i = 0; i < forecast->positions; i++)
		sum += term(forecast, answer, i);
	return sum / forecast->positions;
}

typedef struct Search
{
	const SlSkipForecast *forecast;
	double most[SL_FUTURE_MOST + 1]; /* what the positions from i on add at most */
	double best;
	unsigned answer;
} Search;

/* All answers that begin with this one's first i positions, but for beginnings that can
 * not come to more than the best so far. */
static void
search_from(Search *search, int i, unsigned answer, double sum)
{
	bool likely_skip;

	if (sum + search->most[i] <= search->best)
		return;
	if (i == search->forecast->positions)
	{
		search->best = sum;
		search->answer = answer;
		return;
	}
	likely_skip = search->forecast->skip[i] >= 0.5;
	for (int k = 0; k < 2; k++)
	{
		unsigned next = answer | (unsigned) (likely_skip == (k == 0)) << i;

		search_from(search, i + 1, next, sum + term(search->forecast, next, i));
	}
}

unsigned
sl_best_answer(const SlSkipForecast *forecast, double *expected)
{
	int positions = forecast->positions;
	Search search = {.forecast = forecast, .best = -1.0};

	/* A term is at most the chance to be right there. */
	for (int i = positions - 1; i >= 0; i--)
		search.most[i] =
			search.most[i + 1] + fmax(forecast->skip[i], 1.0 - forecast->skip[i]);
	search_from(&search, 0, 0, 0.0);
	*expected = search.best / positions;
	return search.answer;
}

unsigned
sl_likely_answer(const SlSkipForecast *forecast)
{
	unsigned answer = 0;

	for (int i = 0; i < forecast->positions; i++)
		answer |= (unsigned) (forecast->skip[i] >= 0.5) << i;
	return answer;
}

double
sl_answer_aa(int positions, unsigned skipped, unsigned answer)
{
	double sum = 0.0;
	int right = 0;

	for (int i = 0; i < positions; i++)
		if ((skipped >> i & 1) == (answer >> i & 1))
			sum += (double) ++right / (i + 1);
	return sum / positions;
}
