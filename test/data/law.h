/*
 * law.h: the law by which the generated session lengths come about, and its exact ideal
 * predictor.
 *
 * With y = ln(session length in seconds), for session t of user u
 *
 *     known_t = season(weekday, hour) + absence_effect * ln(absence_t / 1 day)
 *     y_1     = mu_u + known_1 + sigma_u / sqrt(1 - carry^2) * e_1
 *     y_t     = mu_u + known_t + carry * (y_(t-1) - mu_u - known_(t-1)) + sigma_u * e_t
 *
 * with e independent standard normal; known_1 has no absence.  A user's level mu and
 * spread sigma are drawn once:
 *
 *     1 / sigma^2 ~ Gamma(shape, rate scale),    mu | sigma ~ N(prior mean, sigma^2 /
 * weight)
 *
 * where the prior mean depends on what the profile records (an unknown gender, age or
 * country has an effect of its own: it is a value like any other).
 *
 * Why the ideal predictor is exact: with what is known before session t ends,
 *
 *     z_t = y_t - known_t - carry * (y_(t-1) - known_(t-1)) = x_t mu + k_t sigma e_t
 *
 * has known x_t and k_t (1 - carry and 1; for the first 1 and 1 / sqrt(1 - carry^2)), so
 * the normal-inverse-gamma prior stays one: adding (x, z) / k updates four numbers, and
 * the next y given the past is Student's t.  Its median is its location, and
 * exp is monotone, so exp(location) is the median of the length: the prediction
 * with the smallest expected absolute error there is.  That holds because
 *  - lengths are never cut or redrawn (only rounded, to a millisecond, and the rounded
 *    length is what the next session carries);
 *  - starts are drawn from the end of the session before, the user's habits and the rate
 *    of visits, none of which depends on mu, sigma or a later e: given the past, the
 *    start of a session says nothing more about its length than the law does;
 *  - the number of sessions is drawn before any length and the log has no end date, so
 *    that no session is missing or cut because it was long.
 *
 * Users may belong to planted clusters, each with a law of its own.  The ideal predictor
 * of a user's sessions is then the one above under the law of the user's cluster, which
 * it knows: nobody tells a predictor that learns from the log alone, so that its error is
 * a lower bound that need not be within reach.  The cluster is drawn on its own and
 * decides the visits' habits as well; given the cluster, starts are as uninformative as
 * before.
 *
 * Hours and weekdays are UTC; Sunday is 0.
 */
#ifndef SL_LAW_H
#define SL_LAW_H

#include <stdbool.h>

#define SL_GENDERS 3	/* female, male, unknown */
#define SL_AGE_BANDS 6	/* up to 19, to 24, to 29, to 39, from 40, unknown */
#define SL_COUNTRIES 21 /* the last one is unknown */
#define SL_AGE_UNKNOWN -1

#define SL_PLANTED_MAX 8 /* planted clusters */

/* All users of a cluster follow one of these; without clusters, the default one. */
typedef struct SlLaw
{
	double base; /* prior mean of mu before the profile's effects */
	double gender[SL_GENDERS];
	double age[SL_AGE_BANDS];
	double country[SL_COUNTRIES];
	double weight; /* the prior counts as this many sessions of evidence on mu */
	double shape;
	double scale;
	double carry;
	double absence_effect;
	double season[7][24];
} SlLaw;

typedef struct SlProfile
{
	int gender;	 /* 0 f, 1 m, 2 unknown */
	int age;	 /* SL_AGE_UNKNOWN or years */
	int country; /* SL_COUNTRIES - 1 is unknown */
} SlProfile;

/* What is known of (mu, sigma) and of the session before: the state of the predictor. */
typedef struct SlBelief
{
	double mean;
	double weight;
	double shape;
	double scale;
	int sessions;
	double last_y;
	double last_known;
} SlBelief;

/* The distribution of the next y. */
typedef struct SlForecast
{
	double location;
	double scale;
	double df;
} SlForecast;

/* What tells planted clusters apart: each trait is one of two extremes. */
typedef struct SlTraits
{
	bool long_sessions;
	bool frequent; /* visits */
	bool evening;  /* else the morning */
} SlTraits;

extern void sl_law_default(SlLaw *law);

/* The traits of a planted cluster below SL_PLANTED_MAX, and its law. */
extern SlTraits sl_planted_traits(int cluster);
extern void sl_law_planted(SlLaw *law, int cluster);

/* The prior, before a user's first session. */
extern void sl_law_prior(const SlLaw *law, const SlProfile *profile, SlBelief *belief);

/* The part of y that the start explains; absence in seconds, negative for the first. */
extern double sl_law_known(const SlLaw *law, int weekday, int hour, double absence);

/* The next session's y given a user's parameters, the past and noise e. */
extern double sl_law_y(const SlLaw *law, const SlBelief *past, double known, double mu,
					   double sigma, double e);

extern SlForecast sl_law_forecast(const SlLaw *law, const SlBelief *belief, double known);
extern void sl_law_observe(const SlLaw *law, SlBelief *belief, double known, double y);

/* Quantile p of a forecast. */
extern double sl_forecast_quantile(const SlForecast *forecast, double p);

/* Student's t with real degrees of freedom. */
extern double sl_student_cdf(double t, double df);
extern double sl_student_quantile(double p, double df);

#endif
