//! The guides, followed: what they tell people to type is run as it is written.

mod guide;
mod kept_copies;
mod the_way_to_a_cluster;
