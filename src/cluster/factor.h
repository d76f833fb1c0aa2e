/*
 * factor.h: the Cholesky factor of a sparse graph's shifted Laplacian.
 */
#ifndef SL_FACTOR_H
#define SL_FACTOR_H

#include "cluster/graph.h"

/* Blocks of vertices of which each is joined to its neighbours only: the matrix is block
 * tridiagonal.  All matrices column by column. */
typedef struct SlFactor
{
	int count;
	int blocks;
	int *order;		   /* [count] vertices, block by block */
	int *begin;		   /* [blocks + 1] */
	double **diagonal; /* [blocks] lower factors */
	double **side;	   /* [blocks] to the block before; NULL: nothing there */
} SlFactor;

/* Chooses the blocks; memory and operations of the factorisation are estimated from them.
 */
extern SlStatus sl_factor_plan(const SlGraph *graph, SlArena *arena, SlFactor *factor,
							   size_t *memory, double *operations);

/* Factorises L + shift I, L = I - D^(-1/2) W D^(-1/2); a plan must have been made. */
extern SlStatus sl_factor(const SlGraph *graph, double shift, const SlStop *stop,
						  SlArena *arena, SlFactor *factor);

/* x = (L + shift I)^(-1) b; scratch [count]. */
extern void sl_factor_solve(const SlFactor *factor, const double *b, double *x,
							double *scratch);

#endif
