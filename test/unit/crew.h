/*
 * crew.h: threads that train beside the caller's, as background workers do.
 */
#ifndef CREW_H
#define CREW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/team.h"

typedef struct Member
{
	struct Crew *crew;
	int number;
	int patience; /* questions until it leaves; 0: stays */
	_Atomic int asked;
	bool joined;
	pthread_t thread;
} Member;

typedef struct Crew
{
	SlTeam team;
	bool (*serve)(Member *member); /* false: it could not join */
	int members;				   /* the leader not counted */
	bool running;
	bool slow; /* the leader: it begins when the first member has left */
	_Atomic bool over;
	Member member[SL_MAX_TEAM];
} Crew;

static bool
member_should_stop(void *arg)
{
	Member *member = arg;

	member->asked++;
	return atomic_load(&member->crew->over) ||
		   (member->patience > 0 && member->asked >= member->patience);
}

static void
nap(void *arg)
{
	(void) arg;
	usleep(50);
}

static void
no_wake(void *arg)
{
	(void) arg;
}

/* The team as a member knows it. */
static SlTeam
member_team(Member *member)
{
	return (SlTeam){.arg = member, .wake = no_wake, .sleep = nap};
}

static void *
member_main(void *arg)
{
	Member *member = arg;

	member->joined = member->crew->serve(member);
	return NULL;
}

/* Members come when they are first called. */
static void
crew_wake(void *arg)
{
	Crew *crew = arg;

	for (int i = 0; !crew->running && i < crew->members; i++)
		if (pthread_create(&crew->member[i].thread, NULL, member_main,
						   &crew->member[i]) != 0)
			abort();
	crew->running = true;
	while (crew->slow && atomic_load(&crew->member[0].asked) < crew->member[0].patience)
		usleep(100);
}

/* With so much shared memory, which was used before. */
static void
crew_begin(Crew *crew, size_t shared)
{
	crew->team = (SlTeam){.arg = crew, .wake = crew_wake, .sleep = nap};
	crew->team.shared.size = shared;
	crew->team.shared.base = aligned_alloc(SL_ALIGN, shared);
	memset(crew->team.shared.base, 0x55, shared);
	for (int i = 0; i < crew->members; i++)
	{
		crew->member[i].crew = crew;
		crew->member[i].number = i + 1;
	}
}

/* Whether all could join, and the shared memory, which is the caller's to free, was no
 * larger than it had to be. */
static bool
crew_end(Crew *crew)
{
	bool good = crew->team.shared.used == crew->team.shared.size;

	atomic_store(&crew->over, true);
	for (int i = 0; crew->running && i < crew->members; i++)
	{
		pthread_join(crew->member[i].thread, NULL);
		good &= crew->member[i].joined;
	}
	return good;
}

#endif
