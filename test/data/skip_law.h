/*
 * skip_law.h: the law by which the skips of generated sessions come about, and its exact
 * ideal predictor.
 *
 * At each position of a session the listener is in one of a few moods, which nobody sees.
 * The first is drawn from start, each later one from the row of move that belongs to the
 * mood before.  A track with features x and appeal e is skipped (skip_2) with
 *
 *     P(skip | mood m) = 1 / (1 + exp(-(base_m + sum_f effect_mf x_f + e)))
 *
 * independent of all else given the moods and the tracks.  The tracks, the session's
 * length and everything else that is known before a play are drawn without regard to
 * moods and skips, and what is seen after it (how far the track got, what ended it) with
 * regard to its skip only.  So a session is a hidden Markov chain seen through its skips,
 * and sums over moods are exact:
 *
 *  - sl_mood_observe weighs the moods with a skip seen or not and moves them one
 *    position on: after the first half, the belief is P(mood at the next position | the
 *    skips so far);
 *  - sl_skip_forecast gives from it the probability of a skip at each future position,
 *    and of skips at both of any two.
 *
 * The challenge's score of an answer a_1..a_T is its average accuracy
 *
 *     AA = (1/T) sum_i L_i (L_1 + ... + L_i) / i        L_i: a_i is right
 *
 * whose expectation needs P(L_j and L_i) alone, so that of each of the 2^T answers can be
 * had exactly.  The best one is not always the one that names the likelier outcome at
 * each position: an early right answer counts in all later terms.  No predictor that
 * knows the tracks and the first half's skips has a higher expected score.
 */
#ifndef SL_SKIP_LAW_H
#define SL_SKIP_LAW_H

#include <stdbool.h>

#define SL_MOODS 4
#define SL_TASTES \
	4 /* features that matter: energy, valence, acousticness, danceability */
#define SL_SESSION_LEAST 10
#define SL_SESSION_MOST 20
#define SL_FUTURE_MOST 10

typedef struct SlSkipLaw
{
	double start[SL_MOODS];
	double move[SL_MOODS][SL_MOODS]; /* from a row's mood to a column's */
	double base[SL_MOODS];
	double effect[SL_MOODS][SL_TASTES];
} SlSkipLaw;

/* P(mood at the next position | what was seen). */
typedef struct SlMoodBelief
{
	double mood[SL_MOODS];
} SlMoodBelief;

/* P(skip | mood) of one play. */
typedef struct SlChance
{
	double skip[SL_MOODS];
} SlChance;

typedef struct SlSkipForecast
{
	int positions;
	double skip[SL_FUTURE_MOST];
	double both[SL_FUTURE_MOST][SL_FUTURE_MOST]; /* symmetric, skip on the diagonal */
} SlSkipForecast;

extern void sl_skip_law_default(SlSkipLaw *law);

/* How many positions of a session are given: those with 2 position <= length, as the
 * challenge has it, so that of an odd length the larger half is to be predicted. */
extern int sl_first_half(int length);

/* Features are fractions; appeal is a track's own effect on the logit. */
extern void sl_skip_chance(const SlSkipLaw *law, const double feature[SL_TASTES],
						   double appeal, SlChance *chance);

extern void sl_mood_start(const SlSkipLaw *law, SlMoodBelief *belief);
extern void sl_mood_observe(const SlSkipLaw *law, SlMoodBelief *belief,
							const SlChance *chance, bool skipped);

extern void sl_skip_forecast(const SlSkipLaw *law, const SlMoodBelief *belief,
							 int positions, const SlChance *chance,
							 SlSkipForecast *forecast);

/* Answers are bits: 1 << i is a skip at future position i. */
extern double sl_expected_aa(const SlSkipForecast *forecast, unsigned answer);
extern unsigned sl_best_answer(const SlSkipForecast *forecast, double *expected);
extern unsigned sl_likely_answer(const SlSkipForecast *forecast);

/* The score itself. */
extern double sl_answer_aa(int positions, unsigned skipped, unsigned answer);

#endif
