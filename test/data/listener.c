/*
 * listener.c: users with habits and taste, and the catalogue they play from.
 *
 * Visits are a Poisson process whose rate follows the user's hours and weekdays, with
 * holidays in between.  Plays walk through the session that the law has measured out:
 * tracks of their catalogue duration with short idle times, some skipped, some pauses,
 * until the last play is cut where the session ends.  Between two starts of plays lie at
 * most 600 s of track and 840 s of idle time: less than half an hour, so that
 * a play whose duration is withheld does not split the session.
 */
#include "listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum Purpose
{
	TRAITS,
	VISITS,
	PLAYS,
	PURPOSES = 8 /* others are the caller's */
};

#define CATALOGUE_SEED 20050214 /* one catalogue, whatever the log's seed */
#define ARTISTS 20000
#define MIN_ABSENCE (1800 * SL_SECOND)
#define MIN_TRACK 90.0
#define MAX_TRACK 600.0
#define MAX_IDLE (840 * SL_SECOND)

/* ---- time ---- */

int
sl_weekday(int64_t time)
{
	return (int) ((time / SL_DAY + 4) % 7); /* 1970 began on a Thursday */
}

int
sl_hour(int64_t time)
{
	return (int) (time % SL_DAY / SL_HOUR);
}

/* ---- who ---- */

static const char *const country_name[SL_COUNTRIES] = {"United States",
													   "United Kingdom",
													   "Poland",
													   "Germany",
													   "Norway",
													   "Finland",
													   "Turkey",
													   "Brazil",
													   "Canada",
													   "Italy",
													   "France",
													   "Australia",
													   "Netherlands",
													   "Spain",
													   "Sweden",
													   "Russian Federation",
													   "Mexico",
													   "Japan",
													   "Chile",
													   "Romania",
													   NULL};

const char *
sl_country_name(int country)
{
	return country_name[country];
}

SlDraw
sl_listener_draw(uint64_t seed, int64_t user, int purpose)
{
	return (SlDraw){.seed = seed,
					.stream = (uint64_t) user * PURPOSES + (uint64_t) purpose};
}

/* Most last.fm users of the time kept their age to themselves. */
static void
draw_profile(SlDraw *draw, SlProfile *profile)
{
	double gender = sl_draw_uniform(draw);
	bool tells_age = sl_draw_uniform(draw) < 0.6;
	bool tells_country = sl_draw_uniform(draw) < 0.92;
	double age = 14.0 + 5.0 * sl_draw_gamma(draw, 2.2);
	int country = sl_draw_zipf(draw, SL_COUNTRIES - 1);

	profile->gender = gender < 0.38 ? 0 : gender < 0.89 ? 1 : 2;
	profile->age = tells_age ? (int) fmin(age, 75.0) : SL_AGE_UNKNOWN;
	profile->country = tells_country ? country : SL_COUNTRIES - 1;
}

void
sl_habits_default(SlHabits *habits)
{
	*habits = (SlHabits){
		.least_sessions = 8.0,
		.visit_every = 0.9,
		.visit_spread = 0.5,
		.peak = {19.5, 15.0, 10.0},
		.peak_spread = 2.0,
		.sharpness = 1.6,
	};
}

/* At least so many sessions that a user's averages tell the cluster. */
void
sl_habits_planted(SlHabits *habits, int cluster)
{
	SlTraits traits = sl_planted_traits(cluster);
	double peak = traits.evening ? 20.0 : 9.0;

	*habits = (SlHabits){
		.least_sessions = 20.0,
		.visit_every = traits.frequent ? 0.35 : 3.5,
		.visit_spread = 0.25,
		.peak = {peak, peak, peak},
		.peak_spread = 1.0,
		.sharpness = 2.5,
	};
}

/* One broad peak in the day, and more or less of the weekend. */
static void
draw_habits(SlDraw *draw, const SlHabits *habits, SlListener *listener)
{
	double kind = sl_draw_uniform(draw);
	double peak = habits->peak[kind < 0.6 ? 0 : kind < 0.85 ? 1 : 2];
	double weekend = exp(0.4 * sl_draw_normal(draw));
	double sum = 0.0;

	peak += habits->peak_spread * sl_draw_normal(draw);
	for (int hour = 0; hour < 24; hour++)
	{
		double turn = 6.283185307179586 * (hour - peak) / 24.0;
		double rate = 0.1 + exp(habits->sharpness * (cos(turn) - 1.0));

		for (int day = 0; day < 7; day++)
		{
			listener->habit[day][hour] = rate * (day % 6 == 0 ? weekend : 1.0);
			sum += listener->habit[day][hour];
		}
	}
	listener->habit_max = 0.0;
	for (int day = 0; day < 7; day++)
		for (int hour = 0; hour < 24; hour++)
		{
			listener->habit[day][hour] *= 7 * 24 / sum;
			listener->habit_max = fmax(listener->habit_max, listener->habit[day][hour]);
		}
}

void
sl_listener_init(SlListener *listener, const SlHabits *habits, uint64_t seed,
				 int64_t user, double mean_sessions)
{
	SlDraw draw = sl_listener_draw(seed, user, TRAITS);
	double least = fmin(habits->least_sessions, mean_sessions);

	memset(listener, 0, sizeof(*listener));
	draw_profile(&draw, &listener->profile);
	draw_habits(&draw, habits, listener);

	/* A log-normal number above the least, with mean mean_sessions - least. */
	listener->sessions =
		(int64_t) (least + 0.5 +
				   (mean_sessions - least) * exp(0.9 * sl_draw_normal(&draw) - 0.405));
	listener->visit_every =
		habits->visit_every * exp(habits->visit_spread * sl_draw_normal(&draw));

	listener->favourites = 12 + sl_draw_below(&draw, SL_MAX_FAVOURITES - 12);
	for (int i = 0; i < listener->favourites; i++)
		listener->favourite[i] = sl_draw_zipf(&draw, ARTISTS);

	listener->visits = sl_listener_draw(seed, user, VISITS);
	listener->plays = sl_listener_draw(seed, user, PLAYS);
}

/* ---- when ---- */

/* The next event of the Poisson process by thinning, on a full second. */
static int64_t
visit_after(SlListener *listener, int64_t time)
{
	double pace = listener->visit_every * (double) SL_DAY / listener->habit_max;

	for (;;)
	{
		double chance;

		time += (int64_t) (pace * sl_draw_exponential(&listener->visits));
		chance = listener->habit[sl_weekday(time)][sl_hour(time)] / listener->habit_max;
		if (sl_draw_uniform(&listener->visits) < chance)
			return (time / SL_SECOND + 1) * SL_SECOND;
	}
}

int64_t
sl_first_visit(SlListener *listener, int64_t log_start)
{
	double days = 365.0 * sl_draw_uniform(&listener->visits);

	return visit_after(listener, log_start + (int64_t) (days * (double) SL_DAY));
}

int64_t
sl_next_visit(SlListener *listener, int64_t end)
{
	int64_t time = end + MIN_ABSENCE;

	/* A holiday: from three days on, with a heavy tail. */
	if (sl_draw_uniform(&listener->visits) < 0.02)
	{
		double days = 3.0 * pow(sl_draw_uniform(&listener->visits), -1.0 / 1.5);

		time += (int64_t) (fmin(days, 200.0) * (double) SL_DAY);
	}
	return visit_after(listener, time);
}

/* ---- what ---- */

/*
 * Names are made from numbers one to one, so that a pair of names is one track with one
 * duration: three syllables of two letters from a scrambled artist number, and for
 * the track two words at an offset that depends on the artist.
 */
void
sl_artist_name(int artist, char name[SL_NAME_SIZE])
{
	static const char consonant[] = "bdfgklmnprstvz";
	static const char vowel[] = "aeiou";
	int syllables = 14 * 5;
	int code = (int) ((int64_t) artist * 92821 % (syllables * syllables * syllables));
	char word[7];

	for (int i = 0; i < 3; i++, code /= syllables)
	{
		word[2 * i] = consonant[code % syllables / 5];
		word[2 * i + 1] = vowel[code % 5];
	}
	word[0] = (char) (word[0] - 'a' + 'A');
	word[6] = '\0';
	snprintf(name, SL_NAME_SIZE, artist % 9 == 4 ? "The %s" : "%s", word);
}

void
sl_track_name(int artist, int track, char name[SL_NAME_SIZE])
{
	static const char *const first[16] = {
		"Broken",	"Silver", "Last",  "Hollow", "Golden",	"Slow", "Paper",  "Distant",
		"Electric", "Winter", "Quiet", "Second", "Burning", "Open", "Little", "Northern"};
	static const char *const second[16] = {"Morning", "Hearts", "River",   "Radio",
										   "Machine", "Garden", "Harbour", "Mirror",
										   "Signal",  "Summer", "Stairs",  "Letters",
										   "Highway", "Ghosts", "Song",	   "Lights"};
	int code = (artist * 37 + track * 29) % 256;

	snprintf(name, SL_NAME_SIZE, "%s %s", first[code / 16], second[code % 16]);
}

static int
tracks_of(int artist)
{
	return 6 + (int) (sl_random_bits(CATALOGUE_SEED, (uint64_t) artist, 0) % 90);
}

static int64_t
track_duration(int artist, int track)
{
	double z = sl_random_normal(CATALOGUE_SEED, (uint64_t) artist | SL_NORMAL_STREAMS,
								(uint64_t) track);
	double seconds = fmin(fmax(235.0 * exp(0.3 * z), MIN_TRACK), MAX_TRACK);

	return (int64_t) (seconds * (double) SL_SECOND);
}

/* A favourite most of the time, by rank; then a hit of theirs. */
static void
choose_artist(SlListener *listener)
{
	SlDraw *draw = &listener->plays;

	if (sl_draw_uniform(draw) < 0.85)
		listener->artist = listener->favourite[sl_draw_zipf(draw, listener->favourites)];
	else
		listener->artist = sl_draw_zipf(draw, ARTISTS);
	listener->track = sl_draw_zipf(draw, tracks_of(listener->artist));
}

/* Another track of the same artist, or another artist. */
static void
choose_track(SlListener *listener)
{
	if (sl_draw_uniform(&listener->plays) < 0.55)
		listener->track = (listener->track + 1) % tracks_of(listener->artist);
	else
		choose_artist(listener);
}

static int64_t
draw_idle(SlDraw *draw)
{
	double kind = sl_draw_uniform(draw);
	double seconds;

	if (kind < 0.70)
		seconds = 2.5 * sl_draw_uniform(draw);
	else if (kind < 0.95)
		seconds = 25.0 * sl_draw_exponential(draw);
	else
		seconds = 60.0 + 780.0 * sl_draw_uniform(draw);
	if (seconds * (double) SL_SECOND > (double) MAX_IDLE)
		return MAX_IDLE;
	return (int64_t) (seconds * (double) SL_SECOND);
}

/* Puts the chosen track at play->at; it is the last one if it lasts to the end. */
static void
place_track(SlListener *listener, int64_t length, SlPlay *play)
{
	play->artist = listener->artist;
	play->track = listener->track;
	play->duration = track_duration(play->artist, play->track);
	play->last = length - play->at <= play->duration;
	if (play->last)
		play->duration = length - play->at;
}

void
sl_first_play(SlListener *listener, int64_t length, SlPlay *play)
{
	choose_artist(listener);
	play->at = 0;
	place_track(listener, length, play);
}

void
sl_next_play(SlListener *listener, int64_t length, SlPlay *play)
{
	SlDraw *draw = &listener->plays;
	int64_t rest = length - play->at - play->duration; /* above 0: it was not the last */

	if (sl_draw_uniform(draw) < 0.08)
	{
		/* Skipped: the next one starts before this one's end. */
		double heard = 0.02 + 0.9 * sl_draw_uniform(draw);

		play->at += (int64_t) (heard * (double) play->duration);
	}
	else
	{
		int64_t idle = draw_idle(draw);

		/* Where the pause would reach the end, a short play is left for it. */
		play->at += play->duration + (idle < rest ? idle : rest / 2);
	}
	choose_track(listener);
	place_track(listener, length, play);
}
