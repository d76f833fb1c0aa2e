/*
 * recurrent.h: what recurrent.c and recurrent_backward.c (the walks over time) share with
 * each other and with lstm.c and gru.c (the gates of one step).
 *
 * Both cells keep four blocks of hidden columns a row in one buffer, gates [rows x 4
 * hidden]: LSTM i f g o; GRU n r z m, where m is n's recurrent product.  The columns
 * that the input product fills and those that the recurrent product fills are then both
 * contiguous in either cell, and the backward pass turns the buffer into gradients in
 * place.
 */
#ifndef SL_RECURRENT_H
#define SL_RECURRENT_H

#include "nn/tape.h"
#include "nn/weight.h"

/* A run of columns of gates against a run of rows of a weight, both in hiddens. */
typedef struct SlGateRun
{
	int gate;
	int weight;
	int count;
} SlGateRun;

/* Rows of one step that take their previous state from the same place. */
typedef struct SlStepPart
{
	int row;	  /* of the packed batch, the first */
	int sequence; /* the first */
	int count;
	bool zero;		/* they start from zeros */
	float *gates;	/* [count x 4 hidden] */
	const float *h; /* previous state: row r at h + r * stride */
	size_t h_stride;
	const float *c; /* LSTM */
	size_t c_stride;
} SlStepPart;

typedef struct SlRecurrentOp
{
	SlOp op;
	SlRecurrent layer;
	const SlPack *pack;
	SlTensor *x;
	SlTensor *y;
	const float *state_in;
	size_t stride;
	SlTensor *first;   /* what state_in points into, where gradients flow back; or NULL */
	SlTensor *last;	   /* last states, where gradients come from; or NULL */
	int tile;		   /* rows that go through a step together */
	bool input_first;  /* the input product of all rows comes before the walk */
	float *gates;	   /* [rows x 4 hidden]; in inference perhaps [tile x 4 hidden] */
	SlPackedWeight ih; /* for products with x and h, or going back with their gradients */
	SlPackedWeight hh;
	float *packed_ih; /* room for them, or NULL: they come with the tape */
	float *packed_hh;
	float *bias;   /* [4 hidden] */
	float *zeros;  /* [hidden] */
	float *c;	   /* LSTM: cell states, [rows x hidden]; in inference [batch x hidden] */
	float *h_prev; /* [rows x hidden] previous states, dropped; NULL: found in y */
	float *mask;   /* recurrent dropout, [batch x hidden] */
	float *dh;	   /* [batch x hidden], gradient that came from the step after */
	float *dc;	   /* LSTM, the same */
	float *product;	 /* GRU with a mask: [batch x hidden] */
	float *bias_sum; /* [4 hidden] */
} SlRecurrentOp;

typedef struct SlCellType
{
	int gates;				/* of hidden rows each in the weights */
	int states;				/* 1: h; 2: h and c */
	SlGateRun input[2];		/* part p of weight_ih; count 0: there is none */
	SlGateRun recurrent[2]; /* of weight_hh; these columns lie side by side */
	/* bias of gates from the two parameters, and back from sums of gradients */
	void (*join_bias)(int hidden, const float *ih, const float *hh, float *bias);
	void (*split_bias)(int hidden, const float *sum, float *ih, float *hh);
	/* one part of one step, after and before the recurrent product */
	void (*forward)(SlRecurrentOp *op, const SlStepPart *part);
	void (*backward)(SlRecurrentOp *op, const SlStepPart *part);
} SlCellType;

extern const SlCellType sl_lstm_cell;
extern const SlCellType sl_gru_cell;

extern const SlCellType *sl_recurrent_cell(const SlRecurrent *layer);

/* How many sequences of step t go on from the step walked before it. */
extern int sl_recurrent_going(const SlRecurrentOp *op, int t);

/* The part of step t that goes on, and the one that starts. */
extern SlStepPart sl_going_part(const SlRecurrentOp *op, int t);
extern SlStepPart sl_starting_part(const SlRecurrentOp *op, int t);

/* Step number s of the walk, as a time. */
extern int sl_step_time(const SlRecurrentOp *op, int s);

/* Rows from .. from + count - 1 of a part, at most a tile of them. */
extern SlStepPart sl_step_tile(const SlRecurrentOp *op, const SlStepPart *part, int from);

extern void sl_recurrent_backward(SlTape *tape, SlOp *base);

/* LSTM: where a row's cell state is kept; in inference only the newest. */
static inline float *
sl_cell_state(const SlRecurrentOp *op, const SlStepPart *part)
{
	size_t row = op->dh != NULL ? part->row : part->sequence;

	return op->c + row * op->layer.hidden;
}

#endif
