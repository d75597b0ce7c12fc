"""The voices of avatars: which provisioning has which, and whose voice is looked up when."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, exists, func, or_, select, union, update
from sqlalchemy.exc import IntegrityError

from models.argil.voice import TrainingPeriod
from models.errors import VoiceTaken
from models.provisioning import LeaseOwner, Provisioning, Status, VoiceSource
from models.tables import VOICE_DUE_CLAUSE, provisioning_table, webhook_delivery_table
from store.membership import is_one_of, iter_pages
from store.transitions import TransitionWriter

MAX_DELIVERED_VOICES = 5
"""Voices of one avatar that are read from its deliveries: anyone with the token can add more."""
MAX_TRAINING = timedelta(days=1)
"""How long an avatar may still be training whose provisioning is no longer polled."""

_ROW = provisioning_table.c
_DELIVERY = webhook_delivery_table.c
_MAY_TRAIN = (Status.ACCEPTED, Status.SUBMITTING, Status.TRAINING)
_MAY_CONTINUE = (Status.CANCELLED, Status.TIMED_OUT, Status.VANISHED)


class VoiceWriter(TransitionWriter):
    """Reads and writes voices. Every method raises DatabaseError if the database fails."""

    async def record_requested_voice(
        self,
        provisioning: Provisioning,
        owner: LeaseOwner,
        voice_id: str,
        *,
        announce_at: datetime | None = None,
    ) -> Provisioning:
        """Record the voice that an image request names or that was cloned for it. Others may name the same voice.

        The arguments and errors are those of `record_voice`, without VoiceTaken.
        """
        return await self.transition(
            provisioning,
            owner,
            f"voice {voice_id} is recorded: the request has it",
            voice_id=voice_id,
            voice_source=VoiceSource.GIVEN,
            voice_due_at=announce_at,
        )

    async def record_voice(
        self,
        provisioning: Provisioning,
        owner: LeaseOwner,
        voice_id: str,
        source: VoiceSource,
        message: str,
        *,
        announce_at: datetime | None = None,
    ) -> Provisioning:
        """Record the voice of an avatar, which replaces a former one. The status stays.

        Args:
            provisioning: The provisioning as it was read.
            owner: The writer, recorded in the event.
            voice_id: The id of the voice.
            source: How it became known.
            message: The event's message.
            announce_at: When the event `avatar.voice` is due; None if the caller publishes the voice.

        Raises:
            VoiceTaken: Another provisioning has this voice; nothing was written.
            StaleVersion: Another owner changed the provisioning since it was read.
            ProvisioningErased: The provisioning was erased.
        """

        def record(connection: Connection) -> Provisioning:
            self._refuse_taken(connection, provisioning, voice_id)
            try:
                return self._transition(
                    connection,
                    provisioning,
                    owner,
                    message,
                    voice_id=voice_id,
                    voice_source=source,
                    voice_due_at=announce_at,
                )
            except IntegrityError:  # PostgreSQL: another transaction has just recorded it
                raise VoiceTaken(voice_id) from None

        return await self.database.write(record)

    async def remove_voice(self, provisioning: Provisioning, owner: LeaseOwner, message: str) -> Provisioning:
        """Remove the voice of an avatar, which another one may have then. Raises the errors of `transition`."""
        return await self.transition(
            provisioning, owner, message, voice_id=None, voice_source=None, voice_due_at=None
        )

    def _refuse_taken(self, connection: Connection, provisioning: Provisioning, voice_id: str) -> None:
        taken = select(_ROW.id).where(_ROW.voice_id == voice_id, _ROW.id != provisioning.id).limit(1)
        if (other_id := connection.execute(taken).scalar_one_or_none()) is not None:
            raise VoiceTaken(voice_id, other_id)

    async def list_voice_due(self, *, limit: int, batch_id: str | None = None) -> list[Provisioning]:
        """Return READY provisionings whose voice is looked up or announced now, those that are due longest first.

        Args:
            limit: How many to return at most.
            batch_id: Only those of this batch, also if they are due later.
        """
        query = select(provisioning_table).where(VOICE_DUE_CLAUSE, _ROW.erased_at.is_(None))
        # No index serves `coalesce`: few rows are due, but a batch has many.
        in_batch = func.coalesce(_ROW.batch_id, "") == batch_id
        is_due = _ROW.voice_due_at <= self._clock.now() if batch_id is None else in_batch
        return await self._fetch_provisionings(
            query.where(is_due).order_by(_ROW.voice_due_at, _ROW.id).limit(limit)
        )

    async def set_voice_due(self, due_at: Mapping[str, datetime | None], *, has_voice: bool = False) -> None:
        """Set when the voice of each provisioning is looked up again; None: never.

        Args:
            due_at: The times by provisioning id.
            has_voice: Whether to change only those with a voice, or only those without.
        """
        condition = _ROW.voice_id.is_not(None) if has_voice else _ROW.voice_id.is_(None)

        def write(connection: Connection) -> None:
            for provisioning_id, time in due_at.items():
                own = update(provisioning_table).where(_ROW.id == provisioning_id, condition)
                connection.execute(own.values(voice_due_at=time))

        if due_at:
            await self.database.write(write)

    async def expect_delivered_voice(self, avatar_id: str) -> None:
        """Look the voice of this avatar up now if it is READY without one, and a delivery names one."""
        has_delivery = exists().where(_DELIVERY.avatar_id == avatar_id, _DELIVERY.voice_id.is_not(None))
        without = (_ROW.voice_id.is_(None), _ROW.erased_at.is_(None), has_delivery)
        statement = (
            update(provisioning_table)
            .where(_ROW.avatar_id == avatar_id, _ROW.status == Status.READY, *without)
            .values(voice_due_at=self._clock.now())
        )
        await self.database.write(lambda connection: connection.execute(statement))

    async def list_delivered_voices(self, avatar_id: str) -> list[str]:
        """Return the voices that deliveries name for this avatar and for no other one, oldest delivery first."""
        query = (
            select(_DELIVERY.voice_id)
            .where(_DELIVERY.avatar_id == avatar_id, _DELIVERY.voice_id.is_not(None))
            .group_by(_DELIVERY.voice_id)
            .order_by(func.min(_DELIVERY.id))
            .limit(MAX_DELIVERED_VOICES)
        )

        def read(connection: Connection) -> list[str]:
            voice_ids = list(connection.execute(query).scalars())
            foreign = _foreign_voices(connection, avatar_id, voice_ids) if voice_ids else set()
            return [voice_id for voice_id in voice_ids if voice_id not in foreign]

        return await self.database.read(read)

    async def find_foreign_voices(self, avatar_id: str, voice_ids: Collection[str]) -> set[str]:
        """Return those voices that another provisioning has, or that a delivery names for another avatar."""

        def read(connection: Connection) -> set[str]:
            return set().union(*(_foreign_voices(connection, avatar_id, page) for page in iter_pages(voice_ids)))

        return await self.database.read(read)

    async def has_namesake_in_training(self, provisioning: Provisioning, period: TrainingPeriod) -> bool:
        """Return whether another avatar of this name may have been in training during this one's training.

        An erased provisioning counts, because its name is not known any more. An avatar counts until the last
        change of its provisioning, and MAX_TRAINING longer if that may have ended before the training.
        """
        was_sent = or_(_ROW.submission_count > 0, _ROW.avatar_id.is_not(None))
        has_begun = or_(_ROW.training_started_at.is_(None), _ROW.training_started_at <= period.ended_at)
        has_not_ended = or_(
            and_(_ROW.status.in_(_MAY_TRAIN), _ROW.erased_at.is_(None)),
            and_(_ROW.status.in_(_MAY_CONTINUE), _ROW.updated_at >= period.started_at - MAX_TRAINING),
            _ROW.updated_at >= period.started_at,
        )
        others = select(_ROW.id).where(_ROW.id != provisioning.id, was_sent, has_begun, has_not_ended).limit(1)
        others = others.order_by(_ROW.name, _ROW.status, _ROW.created_at, _ROW.id)  # as the index on the name
        # Two queries, because the planner of neither database uses the index on the name for both conditions.
        namesakes = others.where(_ROW.name == provisioning.name)
        erased = others.where(_ROW.name.is_(None), _ROW.erased_at.is_not(None))
        return await self.database.read(
            lambda connection: any(connection.execute(query).first() for query in (namesakes, erased))
        )


def _foreign_voices(connection: Connection, avatar_id: str, voice_ids: Collection[str]) -> set[str]:
    taken = select(_ROW.voice_id).where(
        is_one_of(connection, _ROW.voice_id, voice_ids), or_(_ROW.avatar_id.is_(None), _ROW.avatar_id != avatar_id)
    )
    named = select(_DELIVERY.voice_id).where(
        is_one_of(connection, _DELIVERY.voice_id, voice_ids), _DELIVERY.avatar_id != avatar_id
    )
    return set(connection.execute(union(taken, named)).scalars())
