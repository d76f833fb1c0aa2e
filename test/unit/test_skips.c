/*
 * test_skips.c: the ideal predictor of the generated skips against brute force.
 *
 * The reference knows the law's statement only: it walks over every path of moods and
 * every outcome, sums their probabilities, and scores every answer by the definition of
 * average accuracy.  Where there are too many paths it draws sessions from the law
 * and weighs each with the likelihood of the given skips.  One of the laws has arbitrary
 * numbers everywhere, so that no symmetry hides a mistake.
 */
#include <string.h>

#include "../data/draw.h"
#include "../data/skip_law.h"
#include "tap.h"

#define SEED 4711

static int
draw_of(SlDraw *draw, const double *weight, int n)
{
	double u = sl_draw_uniform(draw);
	int i = 0;

	while (i < n - 1 && u >= weight[i])
		u -= weight[i++];
	return i;
}

static void
draw_weights(SlDraw *draw, double *weight, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += weight[i] = sl_draw_exponential(draw);
	for (int i = 0; i < n; i++)
		weight[i] /= sum;
}

static void
arbitrary_law(SlSkipLaw *law)
{
	SlDraw draw = {SEED, 1, 0};

	draw_weights(&draw, law->start, SL_MOODS);
	for (int m = 0; m < SL_MOODS; m++)
	{
		draw_weights(&draw, law->move[m], SL_MOODS);
		law->base[m] = 2 * sl_draw_normal(&draw);
		for (int f = 0; f < SL_TASTES; f++)
			law->effect[m][f] = 4 * sl_draw_normal(&draw);
	}
}

/* ---- a session ---- */

typedef struct Session
{
	int given;
	int future;
	double skip[SL_SESSION_MOST][SL_MOODS]; /* by the law's statement */
	SlChance chance[SL_SESSION_MOST];
	unsigned skipped; /* one bit for each given position */
} Session;

/* Tracks at random, and what a listener did with the given ones. */
static void
draw_session(const SlSkipLaw *law, SlDraw *draw, int given, int future, Session *s)
{
	int mood = draw_of(draw, law->start, SL_MOODS);

	*s = (Session){.given = given, .future = future};
	for (int i = 0; i < given + future; i++)
	{
		double feature[SL_TASTES], appeal = 0.5 * sl_draw_normal(draw);

		for (int f = 0; f < SL_TASTES; f++)
			feature[f] = sl_draw_uniform(draw);
		sl_skip_chance(law, feature, appeal, &s->chance[i]);
		for (int m = 0; m < SL_MOODS; m++)
		{
			double logit = law->base[m] + appeal;

			for (int f = 0; f < SL_TASTES; f++)
				logit += law->effect[m][f] * (feature[f] - 0.5);
			s->skip[i][m] = 0.5 * (1 + tanh(0.5 * logit));
		}
		if (i < given && sl_draw_uniform(draw) < s->skip[i][mood])
			s->skipped |= 1U << i;
		mood = draw_of(draw, law->move[mood], SL_MOODS);
	}
}

static void
forecast_of(const SlSkipLaw *law, const Session *s, SlMoodBelief *belief,
			SlSkipForecast *forecast)
{
	sl_mood_start(law, belief);
	for (int i = 0; i < s->given; i++)
		sl_mood_observe(law, belief, &s->chance[i], s->skipped >> i & 1);
	sl_skip_forecast(law, belief, s->future, s->chance + s->given, forecast);
}

/* The score from its definition: A(i) is counted afresh at every i. */
static double
score(int positions, unsigned skipped, unsigned answer)
{
	double sum = 0;

	for (int i = 0; i < positions; i++)
	{
		int right = 0;

		for (int j = 0; j <= i; j++)
			right += ((skipped ^ answer) >> j & 1) == 0;
		if (((skipped ^ answer) >> i & 1) == 0)
			sum += (double) right / (i + 1);
	}
	return sum / positions;
}

/* ---- every path, every outcome ---- */

#define SHORT 6

typedef struct Sums
{
	double mood[SL_MOODS];		/* of the first future position */
	double outcome[1 << SHORT]; /* of the future */
	double total;
} Sums;

/* All paths that go on from position i in this mood, with all outcomes of the future. */
static void
walk(const SlSkipLaw *law, const Session *s, int i, int mood, double p, unsigned outcome,
	 Sums *sums)
{
	if (i == s->given)
		sums->mood[mood] += p;
	for (int skipped = 0; skipped < 2; skipped++)
	{
		double seen = skipped ? s->skip[i][mood] : 1 - s->skip[i][mood];
		unsigned next = outcome;

		if (i < s->given && skipped != (int) (s->skipped >> i & 1))
			continue;
		if (i >= s->given)
			next |= (unsigned) skipped << (i - s->given);
		if (i == s->given + s->future - 1)
		{
			sums->outcome[next] += p * seen;
			sums->total += p * seen;
			continue;
		}
		for (int m = 0; m < SL_MOODS; m++)
			walk(law, s, i + 1, m, p * seen * law->move[mood][m], next, sums);
	}
}

static double
sum_where(const Sums *sums, int future, unsigned bits)
{
	double sum = 0;

	for (unsigned o = 0; o < 1U << future; o++)
		if ((o & bits) == bits)
			sum += sums->outcome[o];
	return sum / sums->total;
}

static void
test_against_paths(const SlSkipLaw *law, const char *what, int given, int future)
{
	SlDraw draw = {SEED, (uint64_t) (10 * given + future), 0};
	Session s;
	Sums sums = {0};
	SlMoodBelief belief;
	SlSkipForecast forecast;
	double off_mood = 0, off_skip = 0, off_both = 0, off_score = 0, best = 0, found;
	unsigned answer;

	draw_session(law, &draw, given, future, &s);
	for (int m = 0; m < SL_MOODS; m++)
		walk(law, &s, 0, m, law->start[m], 0, &sums);
	forecast_of(law, &s, &belief, &forecast);

	double moods = 0;

	for (int m = 0; m < SL_MOODS; m++)
		moods += sums.mood[m];
	for (int m = 0; m < SL_MOODS; m++)
		off_mood = fmax(off_mood, fabs(belief.mood[m] - sums.mood[m] / moods));
	for (int i = 0; i < future; i++)
	{
		double skip = sum_where(&sums, future, 1U << i);

		off_skip = fmax(off_skip, fabs(forecast.skip[i] - skip));
		for (int j = 0; j < future; j++)
			off_both = fmax(off_both, fabs(forecast.both[i][j] -
										   sum_where(&sums, future, 1U << i | 1U << j)));
	}
	for (unsigned a = 0; a < 1U << future; a++)
	{
		double expected = 0;

		for (unsigned o = 0; o < 1U << future; o++)
			expected += sums.outcome[o] / sums.total * score(future, o, a);
		off_score = fmax(off_score, fabs(sl_expected_aa(&forecast, a) - expected));
		best = fmax(best, expected);
	}
	answer = sl_best_answer(&forecast, &found);

	const char *form = "%s law, %d given, %d to come: %s";

	is_close(off_mood, 0, 1e-10, form, what, given, future, "moods");
	is_close(off_skip, 0, 1e-10, form, what, given, future, "skips");
	is_close(off_both, 0, 1e-10, form, what, given, future, "pairs of skips");
	is_close(off_score, 0, 1e-10, form, what, given, future, "all answers' scores");
	is_close(found, best, 1e-10, form, what, given, future, "no answer is better");
	is_close(sl_expected_aa(&forecast, answer), found, 1e-12, form, what, given, future,
			 "the best answer has that score");
}

/* ---- full length, by drawing ---- */

#define DRAWS 200000

/* Weighted means of the ten positions' skips and of an answer's score. */
static void
test_against_draws(const SlSkipLaw *law, const char *what, int stream)
{
	enum
	{
		HALF = SL_FUTURE_MOST,
		VALUES = HALF + 2
	};
	static double weight[DRAWS], value[DRAWS][VALUES];
	SlDraw draw = {SEED, (uint64_t) (1000 + stream), 0};
	Session s;
	SlMoodBelief belief;
	SlSkipForecast forecast;
	double best, exact[VALUES], total = 0, square = 0;
	unsigned answer, other = (unsigned) (37 * stream) & ((1U << HALF) - 1);

	draw_session(law, &draw, HALF, HALF, &s);
	forecast_of(law, &s, &belief, &forecast);
	answer = sl_best_answer(&forecast, &best);
	memcpy(exact, forecast.skip, sizeof(forecast.skip));
	exact[HALF] = best;
	exact[HALF + 1] = sl_expected_aa(&forecast, other);

	for (int d = 0; d < DRAWS; d++)
	{
		int mood = draw_of(&draw, law->start, SL_MOODS);
		unsigned outcome = 0;

		weight[d] = 1;
		for (int i = 0; i < 2 * HALF; i++)
		{
			double skip = s.skip[i][mood];

			if (i < HALF)
				weight[d] *= s.skipped >> i & 1 ? skip : 1 - skip;
			else
				outcome |= (unsigned) (sl_draw_uniform(&draw) < skip) << (i - HALF);
			mood = draw_of(&draw, law->move[mood], SL_MOODS);
		}
		for (int i = 0; i < HALF; i++)
			value[d][i] = outcome >> i & 1;
		value[d][HALF] = score(HALF, outcome, answer);
		value[d][HALF + 1] = score(HALF, outcome, other);
		total += weight[d];
		square += weight[d] * weight[d];
	}
	ok(total * total / square > 1000, "%s law, session %d: %.0f effective draws", what,
	   stream, total * total / square);
	for (int v = 0; v < VALUES; v++)
	{
		double mean = 0, error = 0;

		for (int d = 0; d < DRAWS; d++)
			mean += weight[d] / total * value[d][v];
		for (int d = 0; d < DRAWS; d++)
		{
			double part = weight[d] / total * (value[d][v] - mean);

			error += part * part;
		}
		error = sqrt(error);
		is_close(exact[v], mean, 4 * error + 1e-9, "%s law, session %d: %s %d (+- %.5f)",
				 what, stream, v < HALF ? "skip" : "score", v, error);
	}
}

/* ---- all answers, and pieces ---- */

/* The pruned search against a plain loop, at the full 1,024 answers. */
static void
test_search(const SlSkipLaw *law, const char *what)
{
	SlDraw draw = {SEED, 5, 0};
	int worse = 0, not_likely = 0;

	for (int n = 0; n < 300; n++)
	{
		Session s;
		SlMoodBelief belief;
		SlSkipForecast forecast;
		double found, best = 0;

		draw_session(law, &draw, 5 + n % 6, 5 + n % 6, &s);
		forecast_of(law, &s, &belief, &forecast);
		not_likely += sl_best_answer(&forecast, &found) != sl_likely_answer(&forecast);
		for (unsigned a = 0; a < 1U << s.future; a++)
			best = fmax(best, sl_expected_aa(&forecast, a));
		worse += fabs(found - best) > 1e-12;
	}
	ok(worse == 0, "%s law: the search finds the best of all answers", what);
	ok(not_likely > 0, "%s law: %d of 300 best answers are not the likelier outcomes",
	   what, not_likely);
}

static void
test_pieces(void)
{
	int wrong = 0;

	for (unsigned o = 0; o < 1024; o += 3)
		for (unsigned a = 0; a < 1024; a += 7)
			wrong += fabs(sl_answer_aa(10, o, a) - score(10, o, a)) > 1e-12;
	ok(wrong == 0, "average accuracy as defined");
	is_close(sl_answer_aa(4, 5, 4), (1.0 / 2 + 2.0 / 3 + 3.0 / 4) / 4, 1e-15,
			 "average accuracy by hand");
	is_close(sl_answer_aa(4, 0, 15), 0, 0, "never right");
	is_close(sl_answer_aa(4, 6, 6), 1, 1e-15, "always right");
	ok(sl_first_half(20) == 10 && sl_first_half(11) == 5 && sl_first_half(10) == 5,
	   "of an odd length the larger half is to be predicted");
}

/* Rows of a law sum to one, and it is not changed by what a track is called. */
static void
test_law(const SlSkipLaw *law)
{
	double feature[SL_TASTES] = {0.5, 0.5, 0.5, 0.5}, start = 0;
	SlChance chance;

	for (int m = 0; m < SL_MOODS; m++)
	{
		double row = 0;

		start += law->start[m];
		for (int k = 0; k < SL_MOODS; k++)
			row += law->move[m][k];
		is_close(row, 1, 1e-12, "mood %d goes somewhere", m);
	}
	is_close(start, 1, 1e-12, "there is a mood");
	sl_skip_chance(law, feature, 0, &chance);
	is_close(chance.skip[0] + chance.skip[1], 1, 1e-12,
			 "listening and restless are opposites");
	is_close(chance.skip[2], 0.5, 1e-12, "a middling track is skipped as often as not");
	sl_skip_chance(law, feature, 1, &chance);
	is_close(chance.skip[2], 1 / (1 + exp(-1)), 1e-12,
			 "appeal is an effect on the logit");
}

int
main(void)
{
	SlSkipLaw law, arbitrary;

	sl_skip_law_default(&law);
	arbitrary_law(&arbitrary);
	test_law(&law);
	test_pieces();
	for (int i = 0; i < 2; i++)
	{
		const SlSkipLaw *l = i == 0 ? &law : &arbitrary;
		const char *what = i == 0 ? "the default" : "an arbitrary";

		test_against_paths(l, what, 0, 1);
		test_against_paths(l, what, 1, 5);
		test_against_paths(l, what, 3, 4);
		test_against_paths(l, what, 2, SHORT);
		test_search(l, what);
		for (int stream = 0; stream < 3; stream++)
			test_against_draws(l, what, 10 * i + stream);
	}
	return done_testing();
}
