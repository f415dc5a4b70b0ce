//! The commands about many users: `migrate`, `each`, `backfill`, `audit`, `transfer`, `export`.

mod audit;
mod backfill;
mod each;
mod export;
mod migrate;
mod run;
mod transfer;
mod world;
