// prelude_team — compiled after prelude.cl in front of the programs whose teams add up or compare
// what their work-items hold. A team of one has nothing to exchange.

#if KEEL_GROUP == 1
#define keel_team_sums(value, scratch, distance) ((void)(scratch), (void)(distance), (value))
#define keel_team_sum(value, scratch) ((void)(scratch), (value))
#define keel_lane_sum(value, scratch, distance) ((void)(scratch), (void)(distance), (value))
#define keel_team_maximum(value, scratch) ((void)(scratch), (value))
#else
// Sums over the work-items of a team whose lanes agree modulo `distance` (a power of two): a tree
// of halves; all of them receive it. Every work-item of the team must call it.
static inline floats keel_team_sums(
    const floats value, __local floats *scratch, const uint distance)
{
  const uint lane = get_local_id(0);
  scratch[lane] = value;
  for (uint reach = KEEL_GROUP / 2; reach >= distance; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the sums of the level before are stored
    if (lane < reach) scratch[lane] += scratch[lane + reach];
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // the result is stored
  const floats sum = scratch[lane & (distance - 1)];
  barrier(CLK_LOCAL_MEM_FENCE);  // everyone has read; scratch is free again
  return sum;
}

// The same for one number per work-item.
static inline float keel_lane_sum(
    const float value, __local float *scratch, const uint distance)
{
  const uint lane = get_local_id(0);
  scratch[lane] = value;
  for (uint reach = KEEL_GROUP / 2; reach >= distance; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the sums of the level before are stored
    if (lane < reach) scratch[lane] += scratch[lane + reach];
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // the result is stored
  const float sum = scratch[lane & (distance - 1)];
  barrier(CLK_LOCAL_MEM_FENCE);  // everyone has read; scratch is free again
  return sum;
}

// The same for the whole team.
static inline float keel_team_sum(const float value, __local float *scratch)
{
  return keel_lane_sum(value, scratch, 1);
}

// The largest of one number per work-item of a team, NaN if there is one.
static inline float keel_team_maximum(const float value, __local float *scratch)
{
  const uint lane = get_local_id(0);
  scratch[lane] = value;
  for (uint reach = KEEL_GROUP / 2; reach > 0; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the values of the level before are stored
    if (lane < reach) scratch[lane] = keel_maximum(scratch[lane], scratch[lane + reach]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // the result is stored
  const float best = scratch[0];
  barrier(CLK_LOCAL_MEM_FENCE);  // everyone has read; scratch is free again
  return best;
}
#endif
