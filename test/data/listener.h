/*
 * listener.h: one invented listener: profile, habits, taste; when they come back and what
 * they play.  Nothing here knows how long a session will be before it is told.
 */
#ifndef SL_LISTENER_H
#define SL_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "draw.h"
#include "law.h"

#define SL_SECOND INT64_C(1000) /* times are milliseconds since 1970, UTC */
#define SL_HOUR (3600 * SL_SECOND)
#define SL_DAY (24 * SL_HOUR)

#define SL_MAX_FAVOURITES 64
#define SL_NAME_SIZE 64

/* The habits of a group of users, from which each draws their own. */
typedef struct SlHabits
{
	double least_sessions;
	double visit_every; /* median of days between sessions */
	double visit_spread;
	double peak[3]; /* hour of most visits: of 60 %, of 25 % and of the other users */
	double peak_spread;
	double sharpness; /* of the peak */
} SlHabits;

typedef struct SlListener
{
	SlProfile profile;
	int64_t sessions;	/* how many there will be */
	double visit_every; /* days between sessions, but for holidays */
	double habit[7][24];
	double habit_max;
	int favourites;
	int favourite[SL_MAX_FAVOURITES];
	SlDraw visits; /* when */
	SlDraw plays;  /* what */
	int artist;	   /* playing now */
	int track;
} SlListener;

typedef struct SlPlay
{
	int64_t at;		  /* milliseconds after the session's start */
	int64_t duration; /* milliseconds */
	int artist;
	int track;
	bool last;
} SlPlay;

extern void sl_habits_default(SlHabits *habits);
extern void sl_habits_planted(SlHabits *habits, int cluster);

extern void sl_listener_init(SlListener *listener, const SlHabits *habits, uint64_t seed,
							 int64_t user, double mean_sessions);

/* A stream of random numbers of this user for a purpose outside this file. */
extern SlDraw sl_listener_draw(uint64_t seed, int64_t user, int purpose);

/* The first visit, and the one after a session that ended at end: over half an hour. */
extern int64_t sl_first_visit(SlListener *listener, int64_t log_start);
extern int64_t sl_next_visit(SlListener *listener, int64_t end);

/* Plays that fill exactly length milliseconds: call with play->last false and at 0 for
 * the first, then again until last. */
extern void sl_first_play(SlListener *listener, int64_t length, SlPlay *play);
extern void sl_next_play(SlListener *listener, int64_t length, SlPlay *play);

extern int sl_weekday(int64_t time);
extern int sl_hour(int64_t time);

extern const char *sl_country_name(int country);
extern void sl_artist_name(int artist, char name[SL_NAME_SIZE]);
extern void sl_track_name(int artist, int track, char name[SL_NAME_SIZE]);

#endif
