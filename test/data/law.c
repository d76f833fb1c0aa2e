/*
 * law.c: the law of the generated session lengths and its conjugate updates; see law.h.
 */
#include "law.h"

#include <math.h>

/* ---- the default law ---- */

#define TURN 6.283185307179586

/*
 * Broad in the hour (longest around 21, shortest in the morning), with longer weekends
 * and, beyond that, longer weekend evenings.
 */
static void
fill_season(SlLaw *law)
{
	static const double weekday_offset[7] = {0.28,	-0.14, -0.20, -0.12,
											 -0.06, 0.10,  0.34};

	for (int day = 0; day < 7; day++)
		for (int hour = 0; hour < 24; hour++)
		{
			double turn = TURN * (hour - 21) / 24.0;
			double evening = exp(4.0 * (cos(TURN * (hour - 22) / 24.0) - 1.0));
			double effect = 0.85 * cos(turn) + 0.15 * cos(2.0 * turn);

			if (day == 5 || day == 6)
				effect += 0.35 * evening;
			law->season[day][hour] = effect + weekday_offset[day];
		}
}

void
sl_law_default(SlLaw *law)
{
	*law = (SlLaw){
		.base = 7.42,
		.gender = {-0.12, 0.12, 0.0},
		.age = {0.30, 0.15, 0.0, -0.15, -0.30, 0.05},
		.country = {0.10,  -0.12, 0.05, 0.20,  -0.08, 0.00,	 0.15,
					-0.20, 0.08,  0.25, -0.15, -0.05, 0.12,	 -0.10,
					0.18,  -0.22, 0.02, 0.07,  -0.18, -0.03, 0.04},
		.weight = 1.0,
		.shape = 12.0,
		.scale = 4.9,
		.carry = 0.5,
		.absence_effect = 0.25,
	};
	fill_season(law);
}

/* ---- planted clusters ---- */

/* The first four differ pairwise in two traits, all eight in at least one. */
SlTraits
sl_planted_traits(int cluster)
{
	static const SlTraits traits[SL_PLANTED_MAX] = {
		{true, true, true},	  {false, false, true},	 {false, true, false},
		{true, false, false}, {false, false, false}, {true, true, false},
		{true, false, true},  {false, true, true},
	};

	return traits[cluster];
}

/*
 * Levels far apart, with users close to that of their cluster; and in each cluster other
 * answers to what is known: how much of the last session carries over, whether a long
 * absence makes for a longer session or a shorter one, which hours are the long ones.
 */
void
sl_law_planted(SlLaw *law, int cluster)
{
	SlTraits traits = sl_planted_traits(cluster);
	bool regular = traits.long_sessions == traits.frequent;
	SlLaw usual;

	sl_law_default(&usual);
	*law = usual;
	law->base += traits.long_sessions ? 0.5 : -1.3;
	law->weight = 9.0;
	law->scale *= regular ? 0.4 : 1.5;
	law->carry = traits.frequent ? 0.5 : 0.0;
	law->absence_effect = regular ? -0.15 : 0.25;
	for (int i = 0; i < SL_GENDERS; i++)
		law->gender[i] *= 0.5;
	for (int i = 0; i < SL_AGE_BANDS; i++)
		law->age[i] *= 0.5;
	for (int i = 0; i < SL_COUNTRIES; i++)
		law->country[i] *= 0.5;

	/* The long hours are shifted by half a day in half of the clusters. */
	int shift = traits.evening == traits.frequent ? 0 : 12;

	for (int day = 0; day < 7; day++)
		for (int hour = 0; hour < 24; hour++)
			law->season[day][hour] =
				(regular ? 0.5 : 1.0) * usual.season[day][(hour + shift) % 24];
}

/* ---- the predictor ---- */

static int
age_band(int age)
{
	static const int upper[] = {19, 24, 29, 39};

	if (age == SL_AGE_UNKNOWN)
		return SL_AGE_BANDS - 1;
	for (int band = 0; band < 4; band++)
		if (age <= upper[band])
			return band;
	return 4;
}

void
sl_law_prior(const SlLaw *law, const SlProfile *profile, SlBelief *belief)
{
	*belief = (SlBelief){
		.mean = law->base + law->gender[profile->gender] +
				law->age[age_band(profile->age)] + law->country[profile->country],
		.weight = law->weight,
		.shape = law->shape,
		.scale = law->scale,
	};
}

double
sl_law_known(const SlLaw *law, int weekday, int hour, double absence)
{
	double known = law->season[weekday][hour];

	if (absence >= 0.0)
		known += law->absence_effect * log(absence / 86400.0);
	return known;
}

/* y = offset + x * mu + k * sigma * e */
typedef struct Line
{
	double offset;
	double x;
	double k;
} Line;

static Line
line_of(const SlLaw *law, const SlBelief *past, double known)
{
	Line line = {known, 1.0, 1.0 / sqrt(1.0 - law->carry * law->carry)};

	if (past->sessions > 0)
	{
		line.offset += law->carry * (past->last_y - past->last_known);
		line.x = 1.0 - law->carry;
		line.k = 1.0;
	}
	return line;
}

double
sl_law_y(const SlLaw *law, const SlBelief *past, double known, double mu, double sigma,
		 double e)
{
	Line line = line_of(law, past, known);

	return line.offset + line.x * mu + line.k * sigma * e;
}

SlForecast
sl_law_forecast(const SlLaw *law, const SlBelief *belief, double known)
{
	Line line = line_of(law, belief, known);
	double variance = line.k * line.k + line.x * line.x / belief->weight;

	return (SlForecast){
		.location = line.offset + line.x * belief->mean,
		.scale = sqrt(belief->scale / belief->shape * variance),
		.df = 2.0 * belief->shape,
	};
}

void
sl_law_observe(const SlLaw *law, SlBelief *belief, double known, double y)
{
	Line line = line_of(law, belief, known);
	double x = line.x / line.k;
	double z = (y - line.offset) / line.k;
	double weight = belief->weight + x * x;
	double surprise = z - x * belief->mean;

	belief->mean += x * surprise / weight;
	belief->scale += 0.5 * surprise * surprise * belief->weight / weight;
	belief->weight = weight;
	belief->shape += 0.5;
	belief->sessions++;
	belief->last_y = y;
	belief->last_known = known;
}

double
sl_forecast_quantile(const SlForecast *forecast, double p)
{
	return forecast->location + forecast->scale * sl_student_quantile(p, forecast->df);
}

/* ---- Student's t ---- */

/* The continued fraction of the incomplete beta function, by Lentz's method. */
static double
beta_fraction(double a, double b, double x)
{
	double c = 1.0;
	double d = 1.0 / (1.0 - (a + b) * x / (a + 1.0));
	double value = d;

	for (int m = 1; m < 1000; m++)
	{
		double even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
		double factor;

		d = 1.0 / (1.0 + even * d);
		c = 1.0 + even / c;
		value *= d * c;
		d = 1.0 / (1.0 + odd * d);
		c = 1.0 + odd / c;
		factor = d * c;
		value *= factor;
		if (fabs(factor - 1.0) < 1e-15)
			break;
	}
	return value;
}

static double
incomplete_beta(double a, double b, double x)
{
	double front =
		exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));

	/* The fraction converges fast on one side of the mean only. */
	if (x < (a + 1.0) / (a + b + 2.0))
		return front * beta_fraction(a, b, x) / a;
	return 1.0 - front * beta_fraction(b, a, 1.0 - x) / b;
}

double
sl_student_cdf(double t, double df)
{
	double tail;

	if (t == 0.0)
		return 0.5;
	tail = 0.5 * incomplete_beta(0.5 * df, 0.5, df / (df + t * t));
	return t > 0.0 ? 1.0 - tail : tail;
}

/* Newton's method on the distribution function, from 0: it is concave above the median,
 * so the steps from there rise to the quantile without passing it. */
double
sl_student_quantile(double p, double df)
{
	double upper = p < 0.5 ? 1.0 - p : p;
	double log_norm =
		lgamma(0.5 * (df + 1.0)) - lgamma(0.5 * df) - 0.5 * log(df * TURN / 2.0);
	double t = 0.0;

	for (int i = 0; i < 100; i++)
	{
		double density = exp(log_norm - 0.5 * (df + 1.0) * log1p(t * t / df));
		double step = (upper - sl_student_cdf(t, df)) / density;

		t += step;
		if (fabs(step) < 1e-13 * (1.0 + t))
			break;
	}
	return p < 0.5 ? -t : t;
}
