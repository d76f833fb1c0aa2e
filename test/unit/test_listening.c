/*
 * test_listening.c: the ideal predictor of the generated logs against brute force.
 *
 * The reference knows the law's statement only, not the algebra of the predictor: it
 * draws many pairs (mu, sigma) from the prior, weighs each with the likelihood of a
 * user's sessions so far, and mixes the normal distributions each pair gives for the next
 * one.  The exact quantiles must be quantiles of that mixture within four standard
 * errors of the weighted mean.  One of the laws has few degrees of freedom and
 * much carry, so that a mistake in either is many standard errors wide.
 */
#include "../data/draw.h"
#include "../data/law.h"
#include "tap.h"

#define DRAWS 400000
#define LONGEST 40
#define SEED 77

typedef struct History
{
	int sessions; /* before the one to predict */
	double known[LONGEST + 1];
	double y[LONGEST];
} History;

static double mu_draw[DRAWS], sigma_draw[DRAWS];

/* ---- the law, as stated ---- */

static void
draw_user(const SlLaw *law, double prior_mean, SlDraw *draw, double *mu, double *sigma)
{
	*sigma = sqrt(law->scale / sl_draw_gamma(draw, law->shape));
	*mu = prior_mean + *sigma / sqrt(law->weight) * sl_draw_normal(draw);
}

static double
mean_of(const SlLaw *law, const History *h, int t, double mu)
{
	if (t == 0)
		return mu + h->known[0];
	return mu + h->known[t] + law->carry * (h->y[t - 1] - mu - h->known[t - 1]);
}

static double
deviation_of(const SlLaw *law, int t, double sigma)
{
	return t == 0 ? sigma / sqrt(1 - law->carry * law->carry) : sigma;
}

static double
log_likelihood(const SlLaw *law, const History *h, double mu, double sigma)
{
	double sum = 0;

	for (int t = 0; t < h->sessions; t++)
	{
		double s = deviation_of(law, t, sigma);
		double z = (h->y[t] - mean_of(law, h, t, mu)) / s;

		sum -= 0.5 * z * z + log(s);
	}
	return sum;
}

/* ---- brute force ---- */

/* P(next y < bound) of the weighted mixture; its standard error in *error. */
static double
mixture_below(const SlLaw *law, const History *h, const double *weight, double bound,
			  double *error)
{
	static double below[DRAWS];
	double sum = 0, total = 0, square = 0;

	for (int i = 0; i < DRAWS; i++)
	{
		double z = (bound - mean_of(law, h, h->sessions, mu_draw[i])) /
				   deviation_of(law, h->sessions, sigma_draw[i]);

		below[i] = 0.5 * erfc(-z / sqrt(2.0));
		sum += weight[i] * below[i];
		total += weight[i];
	}
	for (int i = 0; i < DRAWS; i++)
	{
		double part = weight[i] / total * (below[i] - sum / total);

		square += part * part;
	}
	*error = sqrt(square);
	return sum / total;
}

/* The likelihoods as weights; returns the effective number of draws. */
static double
weigh(const SlLaw *law, const History *h, double *weight)
{
	double top = -INFINITY, sum = 0, square = 0;

	for (int i = 0; i < DRAWS; i++)
	{
		weight[i] = log_likelihood(law, h, mu_draw[i], sigma_draw[i]);
		top = fmax(top, weight[i]);
	}
	for (int i = 0; i < DRAWS; i++)
	{
		weight[i] = exp(weight[i] - top);
		sum += weight[i];
		square += weight[i] * weight[i];
	}
	return sum * sum / square;
}

/* A user's starts and lengths; the times of day and absences are arbitrary. */
static void
draw_history(const SlLaw *law, double prior_mean, SlDraw *draw, History *h)
{
	double mu, sigma;

	draw_user(law, prior_mean, draw, &mu, &sigma);
	for (int t = 0; t <= h->sessions; t++)
	{
		double absence = t == 0 ? -1 : 3600 * exp(1.5 * sl_draw_normal(draw) + 2);

		h->known[t] =
			sl_law_known(law, sl_draw_below(draw, 7), sl_draw_below(draw, 24), absence);
		if (t < h->sessions)
			h->y[t] = mean_of(law, h, t, mu) +
					  deviation_of(law, t, sigma) * sl_draw_normal(draw);
	}
}

static void
test_against_brute_force(const SlLaw *law, const char *what, int sessions, int stream)
{
	static const double level[] = {0.1, 0.5, 0.9};
	static double weight[DRAWS];
	SlProfile profile = {stream % SL_GENDERS, 15 + stream % 30, stream % SL_COUNTRIES};
	SlDraw draw = {SEED, (uint64_t) stream, 0};
	History h = {.sessions = sessions};
	SlBelief belief;

	sl_law_prior(law, &profile, &belief);

	double prior_mean = belief.mean;

	draw_history(law, prior_mean, &draw, &h);
	for (int t = 0; t < sessions; t++)
		sl_law_observe(law, &belief, h.known[t], h.y[t]);

	SlForecast forecast = sl_law_forecast(law, &belief, h.known[sessions]);

	for (int i = 0; i < DRAWS; i++)
		draw_user(law, prior_mean, &draw, &mu_draw[i], &sigma_draw[i]);

	double effective = weigh(law, &h, weight);

	ok(effective > 2000, "%s law, %d sessions: %.0f effective draws", what, sessions,
	   effective);
	for (int i = 0; i < 3; i++)
	{
		double bound = level[i] == 0.5 ? forecast.location
									   : sl_forecast_quantile(&forecast, level[i]);
		double error, below = mixture_below(law, &h, weight, bound, &error);

		is_close(below, level[i], 4 * error,
				 "%s law, %d sessions: the %g quantile (+- %.5f)", what, sessions,
				 level[i], error);
	}
}

/* ---- calibration ---- */

/* Of a user's sessions in turn, each is below quantile p of its forecast with
 * probability p whatever came before, so the counts are binomial. */
static void
test_calibration(const SlLaw *law, const char *what)
{
	static const double level[] = {0.1, 0.5, 0.9};
	enum
	{
		USERS = 4000,
		SESSIONS = 15
	};
	int below[3] = {0}, first[3] = {0};

	for (int u = 0; u < USERS; u++)
	{
		SlProfile profile = {u % SL_GENDERS, u % 7 ? 12 + u % 40 : SL_AGE_UNKNOWN,
							 u % SL_COUNTRIES};
		SlDraw draw = {SEED + 1, (uint64_t) u, 0};
		SlBelief belief;
		double mu, sigma;

		sl_law_prior(law, &profile, &belief);
		draw_user(law, belief.mean, &draw, &mu, &sigma);
		for (int t = 0; t < SESSIONS; t++)
		{
			double absence = t == 0 ? -1 : 86400 * sl_draw_exponential(&draw);
			double known = sl_law_known(law, sl_draw_below(&draw, 7),
										sl_draw_below(&draw, 24), absence);
			SlForecast forecast = sl_law_forecast(law, &belief, known);
			double y = sl_law_y(law, &belief, known, mu, sigma, sl_draw_normal(&draw));

			for (int i = 0; i < 3; i++)
			{
				bool hit = y < sl_forecast_quantile(&forecast, level[i]);

				below[i] += hit;
				first[i] += t == 0 && hit;
			}
			sl_law_observe(law, &belief, known, y);
		}
	}
	for (int i = 0; i < 3; i++)
	{
		double p = level[i], n = (double) USERS * SESSIONS;

		is_close(below[i] / n, p, 4 * sqrt(p * (1 - p) / n),
				 "%s law: %g of lengths are below their %g quantile", what, p, p);
		is_close(first[i] / (double) USERS, p, 4 * sqrt(p * (1 - p) / USERS),
				 "%s law: so are those of first sessions", what);
	}
}

/* ---- pieces ---- */

static void
test_student(void)
{
	bool round_trip = true, symmetric = true;

	is_close(sl_student_quantile(0.9, 1), tan(0.4 * M_PI), 1e-9, "t: Cauchy");
	is_close(sl_student_quantile(0.9, 2), 0.8 / sqrt(0.18), 1e-10,
			 "t: two degrees of freedom");
	is_close(sl_student_quantile(0.975, 10), 2.2281388519649, 1e-10, "t: ten");
	is_close(sl_student_quantile(0.9, 1e7), 1.2815515655446, 1e-6, "t: nearly normal");
	for (double df = 0.7; df < 3000; df *= 1.7)
		for (double p = 0.02; p < 1; p += 0.06)
		{
			double t = sl_student_quantile(p, df);

			round_trip &= fabs(sl_student_cdf(t, df) - p) < 1e-11;
			symmetric &= fabs(t + sl_student_quantile(1 - p, df)) < 1e-8 * (1 + fabs(t));
		}
	ok(round_trip, "t: the distribution function undoes the quantile");
	ok(symmetric, "t: symmetric");
}

static void
test_profile(const SlLaw *law)
{
	SlProfile known = {1, 22, 3}, unknown = {2, SL_AGE_UNKNOWN, SL_COUNTRIES - 1};
	SlBelief a, b;

	sl_law_prior(law, &known, &a);
	sl_law_prior(law, &unknown, &b);
	is_close(a.mean, law->base + law->gender[1] + law->age[1] + law->country[3], 1e-12,
			 "the prior follows the profile");
	is_close(b.mean,
			 law->base + law->gender[2] + law->age[SL_AGE_BANDS - 1] +
				 law->country[SL_COUNTRIES - 1],
			 1e-12, "unknown is a value of its own");
	is_close(sl_law_known(law, 3, 21, 86400), law->season[3][21], 1e-12,
			 "a day of absence is neutral");
	is_close(sl_law_known(law, 3, 21, 2 * 86400) - sl_law_known(law, 3, 21, -1),
			 law->absence_effect * log(2.0), 1e-12,
			 "the absence's effect is logarithmic");
}

int
main(void)
{
	static const int sessions[] = {0, 1, 2, 5, 12, LONGEST};
	SlLaw law, wild;

	sl_law_default(&law);
	wild = law;
	wild.shape = 2.0;
	wild.scale = 1.5;
	wild.weight = 0.4;
	wild.carry = 0.8;

	test_student();
	test_profile(&law);
	for (int i = 0; i < 6; i++)
	{
		test_against_brute_force(&law, "the default", sessions[i], 10 + i);
		test_against_brute_force(&wild, "a wild", sessions[i], 20 + i);
	}
	test_calibration(&law, "the default");
	test_calibration(&wild, "a wild");
	for (int i = 0; i < SL_PLANTED_MAX; i++)
	{
		char what[32];
		SlLaw planted;

		snprintf(what, sizeof(what), "planted cluster %d's", i);
		sl_law_planted(&planted, i);
		test_against_brute_force(&planted, what, i % 2 ? 12 : 3, 30 + i);
		test_calibration(&planted, what);
	}
	return done_testing();
}
