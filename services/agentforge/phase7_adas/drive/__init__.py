"""The driving pipeline: a generated world, sensors, agents that see, foresee, plan and watch; and what was shown.

Conventions of every module here:

- time is an integer of microseconds, `t_us`, on the ego's clock unless a name says otherwise;
- world frame: metres, x east, y north, heading in radians counter-clockwise from x;
- ego frame: metres, origin at the centre of the ego's box on the ground, x forward, y left, z up;
- road frame: `s` metres along the road's reference line, `d` metres to its left;
- arrays name their axes (`xy_N2`), their columns are named by constants beside the type;
- speeds in m/s, accelerations in m/s2, curvature in 1/m, positive to the left.
"""
