/*
 * team.c: the board on which work is offered and claimed; see team.h.
 *
 * The number of the publication, its items and the next one to claim are one word: a
 * member that was held up between looking and claiming can't take an item of a
 * publication that is over.
 */
#include "train/team.h"

/* Looks at the board before a process sleeps: some 100 microseconds, more than it takes
 * to wake it up again and than the leader is alone between two publications. */
#define LOOKS 4000

#define COUNT_SHIFT 16
#define NUMBER_SHIFT 32
#define ITEM_MASK 0xffff

static uint32_t
number_of(uint64_t work)
{
	return (uint32_t) (work >> NUMBER_SHIFT);
}

static uint32_t
count_of(uint64_t work)
{
	return (uint32_t) (work >> COUNT_SHIFT) & ITEM_MASK;
}

static uint32_t
next_of(uint64_t work)
{
	return (uint32_t) work & ITEM_MASK;
}

/* Lets the processor's other thread run. */
static void
pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb");
#endif
}

void
sl_board_init(SlBoard *board)
{
	atomic_init(&board->work, 0);
	atomic_init(&board->done, 0);
	atomic_init(&board->cut, 0);
	for (int i = 0; i < SL_MAX_TEAM; i++)
		atomic_init(&board->abandoned[i], 0);
}

void
sl_board_publish(SlBoard *board, int count)
{
	uint32_t number = number_of(atomic_load(&board->work)) + 1;

	if (number == 0) /* of none; cut starts there */
		number = 1;
	atomic_store(&board->done, 0);
	atomic_store(&board->work,
				 (uint64_t) number << NUMBER_SHIFT | (uint64_t) count << COUNT_SHIFT);
}

int
sl_board_claim(SlBoard *board)
{
	uint64_t work = atomic_load(&board->work);

	while (next_of(work) < count_of(work))
		if (atomic_compare_exchange_weak(&board->work, &work, work + 1))
			return (int) next_of(work);
	return -1;
}

bool
sl_board_finish(SlBoard *board)
{
	uint32_t count = count_of(atomic_load(&board->work));

	return atomic_fetch_add(&board->done, 1) + 1 == count;
}

void
sl_board_abandon(SlBoard *board, int member, int item)
{
	atomic_store(&board->abandoned[member], (uint32_t) item + 1);
}

int
sl_board_reclaim(SlBoard *board)
{
	for (int i = 0; i < SL_MAX_TEAM; i++)
		if (atomic_load(&board->abandoned[i]) != 0)
			return (int) atomic_exchange(&board->abandoned[i], 0) - 1;
	return -1;
}

bool
sl_board_all_done(SlBoard *board)
{
	return atomic_load(&board->done) == count_of(atomic_load(&board->work));
}

void
sl_board_cut(SlBoard *board)
{
	atomic_store(&board->cut, number_of(atomic_load(&board->work)));
}

bool
sl_board_is_cut(SlBoard *board)
{
	return atomic_load(&board->cut) == number_of(atomic_load(&board->work));
}

bool
sl_board_watch(SlBoard *board)
{
	for (int i = 0; i < LOOKS; i++)
	{
		uint64_t work = atomic_load(&board->work);

		if (next_of(work) < count_of(work))
			return true;
		pause_briefly();
	}
	return false;
}

bool
sl_board_watch_done(SlBoard *board)
{
	for (int i = 0; i < LOOKS; i++)
	{
		if (sl_board_all_done(board))
			return true;
		pause_briefly();
	}
	return false;
}
