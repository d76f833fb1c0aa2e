/*
 * spectral.h: the embedding of points by their affinity graph (Shi and Malik, "Normalized
 * cuts and image segmentation", 2000; von Luxburg, "A tutorial on spectral clustering",
 * 2007).
 */
#ifndef SL_SPECTRAL_H
#define SL_SPECTRAL_H

#include "cluster/factor.h"
#include "cluster/graph.h"

typedef enum SlEigenMethod
{
	SL_EIGEN_NONE,	 /* components alone give all vectors */
	SL_EIGEN_DENSE,	 /* LAPACK */
	SL_EIGEN_INVERT, /* Krylov space of the inverse, by a factorisation */
	SL_EIGEN_DIRECT	 /* Krylov space of the matrix itself */
} SlEigenMethod;

typedef struct SlSpectralPlan
{
	int wanted;
	SlEigenMethod method;
	bool invertible; /* whether the factor is affordable */
	int basis;		 /* vectors of the Krylov space */
	SlFactor factor;
	size_t factor_memory;
	double factor_operations;
	size_t memory; /* of work the embedding takes */
} SlSpectralPlan;

/* How to find the wanted vectors with at most that much memory.  The arena must outlive
 * the plan. */
extern SlStatus sl_spectral_plan(const SlGraph *graph, int wanted, size_t memory_limit,
								 SlArena *arena, SlSpectralPlan *plan);

/*
 * D^(-1/2) u of the wanted eigenvectors u of least eigenvalue of the normalised
 * Laplacian, point by point: embedding [count x wanted].  Each component of the graph has
 * one of eigenvalue 0, constant on it; they come first, those of larger components before
 * others.
 */
extern SlStatus sl_spectral_embed(const SlGraph *graph, SlSpectralPlan *plan,
								  uint64_t seed, const SlStop *stop, SlArena *work,
								  double *embedding);

#endif
